#!/usr/bin/env python3
"""Keeps an attendance list from the event stream, without polling: who was there, who came, who went, and when.

    SHARD=https://shard.example.com KEY=scok_... ./attendance.py [attendance.csv] [SECONDS]

It adds to the file until it is interrupted, or for so many seconds. The id of the last event lies beside it: started
again, it tells what it missed meanwhile.
"""

import csv
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

SILENCE = 40  # seconds; the shard says something every 15


def call(method, path, body=None):
    """One call of the Owner API; ends with what the shard says if it refuses."""
    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{os.environ['SHARD']}/api/v1{path}", data, headers, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        problem = json.loads(error.read())
        sys.exit(f"{method} {path}: {problem['error']} {problem.get('hint', '')}")
    except URLError as error:
        sys.exit(f"{method} {path}: {error.reason}")


def events(last, seconds):
    """The events of the stream after an id, one by one, until it breaks; None when it has begun."""
    headers = {"Authorization": f"Bearer {os.environ['KEY']}", "Last-Event-ID": last}
    request = Request(f"{os.environ['SHARD']}/api/v1/stream?types=user.joined,user.left", headers=headers)
    with urlopen(request, timeout=max(0.1, min(SILENCE, seconds))) as stream:
        yield None
        for line in stream:
            if line.startswith(b"data: "):  # an event is one line with its whole JSON
                yield json.loads(line[6:])


class Attendance:
    def __init__(self, path):
        self.path, self.place = Path(path), Path(f"{path}.last")
        self.last = self.place.read_text() if self.place.exists() else ""
        if not self.path.exists():
            self.write(["at", "userId", "displayName", "what"])

    def write(self, *rows):
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    def write_present(self):
        """Everyone who is there now."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        people = call("GET", "/roster")["operators"]
        self.write(*([now, one["userId"], one["displayName"], "present"] for one in people))

    def take(self, event):
        if event is None:
            if not self.last:
                self.write_present()
            return
        if event["type"] == "stream.gap":  # what happened in between is not kept any more
            self.write_present()
        else:
            what = "joined" if event["type"] == "user.joined" else "left"
            self.write([event["at"], event["data"]["userId"], event["data"]["displayName"], what])
        self.last = event["id"]
        new = Path(f"{self.place}.new")
        new.write_text(self.last)
        new.replace(self.place)  # whole, even if this is ended now


def main(path="attendance.csv", seconds="31536000"):
    ends = time.monotonic() + float(seconds)
    attendance = Attendance(path)
    while (left := ends - time.monotonic()) > 0:
        try:
            for event in events(attendance.last, left):
                attendance.take(event)
                if time.monotonic() > ends:
                    break
        except HTTPError as error:
            problem = json.loads(error.read())
            sys.exit(f"GET /stream: {problem['error']} {problem.get('hint', '')}")
        except OSError as error:  # broken, or silent for too long: it goes on where we were
            if time.monotonic() < ends:
                print(f"GET /stream: {error}; once more", file=sys.stderr)
                time.sleep(2)
    with attendance.path.open(newline="", encoding="utf-8") as file:
        print(f"{sum(1 for _ in csv.DictReader(file))} entries in {path}.")


if __name__ == "__main__":
    for name in ("SHARD", "KEY"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    main(*sys.argv[1:])
