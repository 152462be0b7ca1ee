#!/usr/bin/env python3
"""Receives webhooks: verifies who sent them, keeps each event once, answers at once, and does the work afterwards.

    SECRET=whsec_... ./receive-webhooks.py [PORT] [events.jsonl]

It listens on 127.0.0.1:8080; put your proxy with TLS before it. An event is answered when it is in the file, on disk;
what comes twice is kept once. The work is `handle`: started again, it goes on where it was.
"""

import base64
import binascii
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOLERANCE = 300  # seconds that a clock may differ, and after which a copy of a delivery is worth nothing
MOST = 1024 * 1024


def handle(event):
    """Your work; if it raises an error the program ends, and begins with this event the next time."""
    print(event["at"], event["type"], json.dumps(event["data"], ensure_ascii=False), flush=True)


def key_of(secret):
    """The bytes that sign: what follows whsec_ is base64, another secret is meant as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret[6:], validate=True)
    except binascii.Error:
        sys.exit("SECRET: what follows whsec_ is not base64")


def is_genuine(key, headers, body):
    """Whether the shard has sent this, a short while ago."""
    id_, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit()) or abs(time.time() - int(at)) > TOLERANCE:
        return False
    signed = f"{id_}.{at}.".encode() + body
    wanted = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    given = headers.get("webhook-signature", "").encode().split()
    return any([hmac.compare_digest(one, wanted) for one in given])  # while a secret is rotated there are two


class Inbox:
    """A file with an event on each line, and beside it how far the work has come."""

    def __init__(self, path):
        self.path, self.place = Path(path), Path(f"{path}.done")
        self.lock, self.news = threading.Lock(), threading.Event()
        self.file = self.path.open("ab")
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(
            b"\n"
        ):  # the power went in the middle of it: it was never answered
            lines.pop()
        self.size = sum(map(len, lines))
        self.file.truncate(self.size)
        self.known = {json.loads(line)["id"] for line in lines}

    def keep(self, id_, event):
        """Have an event on disk, once. Raises OSError, and then it is not there."""
        with self.lock:
            if id_ in self.known:
                return
            line = json.dumps(event).encode() + b"\n"
            try:
                os.write(self.file.fileno(), line)
                os.fsync(self.file.fileno())
                if os.fstat(self.file.fileno()).st_size != self.size + len(line):
                    raise OSError("there is no room for it")
            except OSError:
                self.file.truncate(self.size)
                raise
            self.size += len(line)
            self.known.add(id_)
        self.news.set()

    def work(self):
        """Handle what is in the file, in its order, and what comes."""
        with self.path.open("rb") as file:
            file.seek(int(self.place.read_text()) if self.place.exists() else 0)
            while True:
                self.news.clear()
                while file.tell() < self.size:
                    handle(json.loads(file.readline()))
                    new = Path(f"{self.place}.new")
                    new.write_text(str(file.tell()))
                    new.replace(self.place)
                self.news.wait()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    key = inbox = None

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.key, self.headers, body):
            return self.answer(401)
        try:
            self.inbox.keep(self.headers["webhook-id"], json.loads(body))
        except OSError as error:
            print(f"cannot keep an event: {error}", file=sys.stderr)
            return self.answer(503)  # the shard waits, and sends it again
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing: the work tells what came."""


def main(port="8080", path="events.jsonl"):
    Receiver.key, Receiver.inbox = key_of(os.environ["SECRET"]), Inbox(path)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
    print(f"Listens on http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Receiver.inbox.work()


if __name__ == "__main__":
    if not os.environ.get("SECRET"):
        sys.exit("SECRET is not set")
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
