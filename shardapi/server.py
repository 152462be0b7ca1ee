"""How the shard is served: gunicorn's settings, each from a measurement, and what its hooks do.

`shardapi serve` runs this module; conf/gunicorn.conf.py imports it for those who start gunicorn themselves.
"""

import gc
import logging
import resource
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError

from shardapi import config as settings
from shardapi import logs, remains
from shardapi.master import Master
from shardapi.systemd import Notifier

if TYPE_CHECKING:
    from shardapi.app import ShardApp
    from shardapi.shard import Shard

try:
    _config = settings.load()
except settings.ConfigError as error:
    sys.exit(f"Error: {error}")


class ShardLog(logs.GunicornLog):
    """gunicorn's log in the form of the settings."""

    form = _config.server.log_format


bind = _config.server.bind
worker_class = "shardapi.worker.Worker"
wsgi_app = "shardapi.server:application()"
workers = 1  # presence and the hub live in the process
worker_connections = 4096  # 14 KB each; streams and WebSockets leave theirs to others as they begin
backlog = 2048  # who comes while the loop stands still; the kernel's net.core.somaxconn may make it less
keepalive = 20  # seconds for the next head to be whole; a proxy before us lets go of its connections earlier
timeout = _config.server.watchdog_seconds
graceful_timeout = 10
preload_app = False  # the worker patches first, then imports
http_parser = "python"  # the C parser lets bare LF through
http_protocols = "h1"  # under h2 no socket can be taken
control_socket_disable = True
forwarded_allow_ips = ",".join(_config.server.trusted_proxies)
forwarder_headers = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}  # by default others too, which a client could send
header_map = "drop"
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
proc_name = "shardapi"
logger_class = ShardLog
errorlog = "-"
loglevel = "warning"

TCP_USER_TIMEOUT_MS = 20_000  # a peer that lost its power is gone after this
SEND_BUFFER = 65_536  # a reader that never reads would hold five times as much
MOST_DESCRIPTORS = 1 << 20
DESCRIPTORS = worker_connections + 4096 + 512  # one each for connections, for streams and operators; the rest
# What gunicorn's master adds once a worker has said why it cannot start.
SAID_ALREADY = {
    ("Worker (pid:%s) exited with code %s.", Arbiter.APP_LOAD_ERROR),
    ("Shutting down: %s", "Master"),
    ("Reason: %s", "App failed to load."),
}

_addresses: list[str] = []


def on_starting(server: Any) -> None:
    """Leave a refused start to its one line; have as many descriptors as may be had."""
    server.log.error_log.addFilter(_is_news)
    Master(server, _config, Notifier())
    if _config.guessable:
        server.log.warning(settings.GUESSABLE)
    allowed = raise_descriptors()
    if allowed < DESCRIPTORS:
        server.log.warning(
            "only %d file descriptors may be open, so that fewer can connect at once: "
            "raise the limit to %d or more (LimitNOFILE= of the unit, ulimit -Hn)",
            *(allowed, DESCRIPTORS),
        )


def raise_descriptors() -> int:
    """Raise this process's limit of descriptors to what it may have; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _is_news(record: logging.LogRecord) -> bool:
    last = record.args[-1] if isinstance(record.args, tuple) and record.args else None
    return (record.msg, last) not in SAID_ALREADY


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Refuse a second worker at the start, and undo a TTIN that asks for one."""
    if new_value <= 1:
        return
    if old_value is None:
        raise RuntimeError("a shard is served by one worker: who is connected is known in one process only")
    server.log.warning("there is one worker, and no more")
    server.num_workers = 1


def when_ready(server: Any) -> None:
    """Set what accepted sockets inherit, and remember where the shard listens until it does."""
    for listener in server.LISTENERS:
        _addresses.append(str(listener))
        sock = listener.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)


def pre_fork(server: Any, worker: Any) -> None:
    """Keep the collector from touching what the worker shares with the master."""
    gc.freeze()
    log = logs.current()
    if log is not None and log.json:
        worker.board.keep_stack()


def child_exit(server: Any, worker: Any) -> None:
    """Tell where a worker stood that had to be ended."""
    if stack := worker.board.last_stack():
        server.log.error("a worker was ended while it did this: %s", stack)


def application() -> "ShardApp":
    """The application, made in the worker; what an owner can mend is told in one line."""
    before = gc.get_threshold()
    gc.set_threshold(10_000, 20, 100)  # by default 25 ms of a start go into looking through what is imported
    from shardapi.app import create_app
    from shardapi.cli.options import foreseen

    try:
        config = settings.load()
        logs.begin(config.server.log_format)
        if names := remains.lost(config.folder):  # now, since a first start makes a secret too
            logging.getLogger("shardapi").warning(remains.begun_anew(config.folder, names))
        return create_app(config)
    except foreseen() as error:
        raise AppImportError(f"Error: {error}") from error
    finally:
        gc.freeze()  # what a start has made stays
        gc.set_threshold(*before)


def post_worker_init(worker: Any) -> None:
    """Say once where the shard listens; without any key, make the first on a terminal, elsewhere say how."""
    shard: Shard = worker.wsgi.shard
    if log := logs.current():
        log.sink.work_in_background()
    if worker.age == 1:
        _say(f"shardapi listens on {' and '.join(_addresses)}")
    if shard.keys.all():
        return
    if not sys.stdout.isatty():
        _say(f"There is no key yet. Make one: {first_key_command(shard.config.folder)}")
        return
    _, secret = shard.keys.create("owner", shard.plugins.all_scopes)
    print(
        f"\nYour owner key, shown this once:\n\n  {secret}\n\nTry it:\n\n"
        f'  curl -H "Authorization: Bearer {secret}" {shard.base_url}/api/v1/status\n',
        flush=True,
    )


def _say(text: str) -> None:
    log = logs.current()
    if log is not None and log.json:
        log.say("info", "shardapi", text)
    else:
        print(text, file=sys.stderr, flush=True)


def first_key_command(folder: Path) -> str:
    """The command that makes a key for this very shard, ready to be pasted."""
    return remains.own_command("keys", "create", "owner", "--all-scopes", folder=folder)


def worker_exit(server: Any, worker: Any) -> None:
    """Write what waits and close the store."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.shard.close()
    if log := logs.current():
        log.sink.flush()


class Service(BaseApplication):  # type: ignore[misc]
    """gunicorn with these settings and no others: no command line, no working folder to import from."""

    def load_config(self) -> None:
        """Take the settings of this module."""
        for name, value in globals().items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> "ShardApp":
        """The application, in the worker."""
        return application()


if __name__ == "__main__":
    Service().run()
