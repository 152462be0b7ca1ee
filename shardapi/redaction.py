"""What must not be read in a log: tokens in queries, credentials in headers that are quoted, keys wherever they are."""

import re

SECRET = re.compile(r"(\btoken=|\bbearer[\s,]+|\bsc(?:ok|sk|sh)_|\bwhsec_)[^\s&,'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """A text without its secrets."""
    return SECRET.sub(r"\1[redacted]", text)
