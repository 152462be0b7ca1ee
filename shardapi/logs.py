"""The log, on standard error: lines of JSON for the journal, of text for people; nothing in it is anybody's markup."""

import io
import json
import logging
import os
import re
import sys
import traceback
from typing import Any, Literal

from gunicorn.glogging import Logger

from . import clock
from .redaction import redacted
from .sink import Sink

Format = Literal["auto", "json", "text"]

LONGEST_MESSAGE, LONGEST_ENTRY = 2000, 40_000  # the journal would cut a line of 48 KB in two
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
# Control characters, and those that turn the direction of what follows.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Log:
    """The log of this process, once it has begun: its form and where it goes."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.json = self.journal = False
        sink.lament = lambda lost: self.entry(
            "error", "shardapi", f"{lost} entries were lost: nobody reads them"
        )

    def form(self, chosen: Format) -> None:
        """Take a form; "auto" is JSON in the journal and text elsewhere."""
        self.journal = in_journal(self.sink.fd)
        self.json = chosen == "json" or (chosen == "auto" and self.journal)

    def prefix(self, level: str) -> bytes:
        """What the journal reads a line's priority from, and takes off it."""
        return b"<%d>" % PRIORITIES.get(level, 6) if self.journal else b""

    def say(self, level: str, logger: str, message: str, more: dict[str, Any] | None = None) -> None:
        """Write one entry; `more` are members besides, "traceback" has lines."""
        self.sink.put(self.entry(level, logger, message, more))

    def entry(self, level: str, logger: str, message: str, more: dict[str, Any] | None = None) -> bytes:
        """One entry as it is written."""
        more = more or {}
        if self.json:
            entry = {
                "time": clock.iso(clock.now()),
                "level": level,
                "logger": logger,
                "message": message,
                **more,
            }
            while len(text := json.dumps(entry, ensure_ascii=True)) > LONGEST_ENTRY and "traceback" in entry:
                entry["traceback"] = "…" + str(entry["traceback"])[-(len(entry["traceback"]) // 2) :]
        else:
            trace = str(more.get("traceback", "")).splitlines()
            head = f"{clock.iso(clock.now())} {level.upper():<8} {escaped(message)}"
            text = "\n".join([head, *("    " + escaped(line) for line in trace)])
        return self.prefix(level) + text.encode() + b"\n"


class Handler(logging.Handler):
    """Hands what is logged to the log of this process."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def createLock(self) -> None:
        """None: an entry is one append, also from threads that gevent does not know."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            message = redacted(record.getMessage())[:LONGEST_MESSAGE]
            more = {"requestId": found} if (found := getattr(record, "request_id", "")) else {}
            if record.exc_info and record.exc_info[0] is not None:
                more["traceback"] = _trace(record)
            self.log.say(record.levelname.lower(), record.name, message, more)
        except Exception:
            self.handleError(record)


class Printed(io.TextIOBase):
    """Takes the place of a stream of this process: what is printed becomes an entry, line by line."""

    def __init__(self, log: Log, name: str, level: str) -> None:
        self._log, self._name, self._level, self._rest = log, name, level, ""

    def write(self, text: str) -> int:
        """Take some text."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.say(self._level, self._name, redacted(line)[:LONGEST_MESSAGE])
        return len(text)

    def fileno(self) -> int:
        """The descriptor of the log."""
        return self._log.sink.fd

    def writable(self) -> bool:
        """Yes."""
        return True


class GunicornLog(Logger):  # type: ignore[misc]
    """What gunicorn's `logger_class` names: its log is this log, which begins with it."""

    form: Format = "auto"

    def setup(self, cfg: Any) -> None:
        """Begin, in the master."""
        begin(self.form)
        super().setup(cfg)

    def _set_handler(self, log: logging.Logger, output: Any, fmt: Any, stream: Any = None) -> None:
        if _log is None or output != "-" or log is not self.error_log:
            super()._set_handler(log, output, fmt, stream)
            return
        handler = Handler(_log)
        handler._gunicorn = True  # type: ignore[attr-defined]  # by which it knows what to take away again
        log.addHandler(handler)


_log: Log | None = None


def begin(form: Format) -> Log:
    """Have all that this process logs go to standard error in this form."""
    global _log
    if _log is None:
        _log = Log(Sink(2))
        logging.getLogger().addHandler(Handler(_log))
        logging.getLogger("shardapi").setLevel(logging.INFO)
        logging.captureWarnings(True)
    _log.form(form)
    if _log.json:
        sys.stdout, sys.stderr = Printed(_log, "stdout", "info"), Printed(_log, "stderr", "error")
    return _log


def current() -> Log | None:
    """The log of this process, None where it has not begun, as in a command or in a test's process."""
    return _log


def in_journal(fd: int) -> bool:
    """Whether what is written there goes to systemd's journal."""
    try:
        there = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{there.st_dev}:{there.st_ino}"


def escaped(text: str) -> str:
    """A text on one line, as it may stand on a terminal."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _trace(record: logging.LogRecord) -> str:
    assert record.exc_info is not None
    return redacted("".join(traceback.format_exception(*record.exc_info)).rstrip())
