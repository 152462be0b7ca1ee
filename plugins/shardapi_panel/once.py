"""Secrets on their way to the page that shows them once, in memory; a form that is sent twice acts once."""

import secrets
import time
from typing import NamedTuple

SECONDS = 60.0
MOST = 1000


class Made(NamedTuple):
    """What a form has made: its id, and when."""

    id: str
    at: float


class Once:
    """What was made and not shown yet, for each session; and by which form."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], tuple[str, float]] = {}
        self._forms: dict[str, Made] = {}

    def form(self) -> str:
        """What a new form carries, so that it is known when it comes twice."""
        return secrets.token_urlsafe(16)

    def made(self, form: str) -> str:
        """The id of what that form has made already; "" if nothing."""
        found = self._forms.get(form) if form else None
        return found.id if found is not None else ""

    def put(self, session: str, made: str, secret: str, form: str) -> None:
        """Keep a secret for the page that shows it."""
        now = time.monotonic()
        self._secrets = {at: one for at, one in self._secrets.items() if one[1] > now - SECONDS}
        self._secrets[session, made] = (secret, now)
        if form:
            self._forms[form] = Made(made, now)
        while len(self._forms) > MOST:
            del self._forms[next(iter(self._forms))]

    def take(self, session: str, made: str) -> str:
        """The secret, which is forgotten with that; "" if it was shown, or is none of this session's."""
        secret, at = self._secrets.pop((session, made), ("", 0.0))
        return secret if at > time.monotonic() - SECONDS else ""
