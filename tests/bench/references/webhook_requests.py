"""The usual sender of webhooks: a pool of greenlets, each with a session of `requests`; signs and checks addresses.

    webhook_requests.py URL GREENLETS SECONDS

prints the deliveries a second.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402
import base64
import hashlib
import hmac
import ipaddress
import socket
import sys
import time
from urllib.parse import urlsplit

import gevent
import gevent.pool
import requests

BODY = (
    b'{"id":"5f0c3a9e-118","type":"user.joined","guildId":"1400000000000000000","at":"2026-11-20T19:30:00.000Z",'
    b'"data":{"userId":"123456789012345678","displayName":"%s","transport":"ws","nets":[1,2,3]}}'
    % (b"A" * 300)
)
SECRET = b"0123456789abcdef0123456789abcdef"


def deliver(session: requests.Session, url: str, number: int) -> None:
    """One delivery."""
    parts = urlsplit(url)
    for found in socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM):
        assert not ipaddress.ip_address(found[4][0]).is_multicast
    id_, now = f"5f0c3a9e-{number}", int(time.time())
    mac = hmac.new(SECRET, f"{id_}.{now}.".encode() + BODY, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    answer = session.post(url, data=BODY, headers=headers, timeout=10, allow_redirects=False)
    assert answer.status_code == 204


def main() -> None:
    """Deliver for so long."""
    url, greenlets, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    pool, done, ends = gevent.pool.Pool(greenlets), [0] * greenlets, time.perf_counter() + seconds

    def work(number: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while time.perf_counter() < ends:
                deliver(session, url, done[number])
                done[number] += 1

    began = time.perf_counter()
    for number in range(greenlets):
        pool.spawn(work, number)
    pool.join()
    print(sum(done) / (time.perf_counter() - began))


main()
