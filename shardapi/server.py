"""gunicorn's settings, read by `shardapi serve` and by conf/gunicorn.conf.py; each comes from a measurement."""

import socket
import sys
from typing import Any

from . import config as settings

_config = settings.load()

bind = _config.server.bind
worker_class = "shardapi.worker.Worker"
wsgi_app = "shardapi.app:create_app()"
workers = 1  # presence and the hub live in the process
worker_connections = 4096
backlog = 2048
keepalive = 20
timeout = 30
graceful_timeout = 10
preload_app = False  # the worker patches first, then imports
http_parser = "python"  # the C parser lets bare LF through
http_protocols = "h1"  # under h2 no socket can be taken
control_socket_disable = True
forwarded_allow_ips = ",".join(_config.server.trusted_proxies)
forwarder_headers = ""
header_map = "drop"
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
proc_name = "shardapi"
errorlog = "-"
loglevel = "warning"

TCP_USER_TIMEOUT_MS = 20_000  # a peer that lost its power is gone after this
SEND_BUFFER = 65_536  # a reader that never reads would hold five times as much


def when_ready(server: Any) -> None:
    """Set what accepted sockets inherit, and say where the shard listens."""
    for listener in server.LISTENERS:
        sock = listener.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        print(f"shardapi listens on {listener}", file=sys.stderr, flush=True)


def worker_exit(server: Any, worker: Any) -> None:
    """Write what waits and close the store."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.shard.close()
