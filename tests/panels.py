"""What tests of the panel share: somebody with a browser, without one, at an app in this process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shardapi import Key, ShardApp, clock, create_app
from shardapi.config import load
from shardapi.testing import Server
from shardapi_panel.door import Door
from shardapi_panel.guard import SESSIONS
from shardapi_panel.signin import DOOR

if TYPE_CHECKING:
    import requests

HERE = "http://localhost"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Origin": HERE}
SIGN_IN = "/panel/sign-in"


class Visitor:
    """A browser that keeps its cookies and fills in forms as they are."""

    def __init__(self, app: ShardApp) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()

    @property
    def door(self) -> Door:
        """The ways in."""
        found: Door = self.app.extensions[DOOR]
        return found

    def sign_in(self, who: str = "Ann") -> "Visitor":
        """Use a link."""
        answer = self.send(SIGN_IN, token=self.door.make_link(who))
        assert answer.status_code == 303, answer.text
        return self

    def get(self, path: str) -> TestResponse:
        """A page."""
        return self.client.get(path, headers=PAGE)

    def send(self, path: str, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
        """A form with these fields alone."""
        return self.client.post(path, data=fields, headers={**PAGE, **(headers or {})})

    def post(self, path: str, page: str = "/panel/sessions", **fields: Any) -> TestResponse:
        """A form with the token of a page besides."""
        return self.send(path, csrf_token=self.token(page), **fields)

    def token(self, page: str = "/panel/sessions") -> str:
        """The token for changes, as a page has it."""
        return field(self.get(page), "csrf_token")

    @property
    def cookie(self) -> str:
        """What the browser keeps; "" for nothing."""
        found = self.client.get_cookie("shardapi_panel", path="/panel")
        return found.value if found is not None else ""


def field(page: TestResponse, name: str) -> str:
    """The value of the first hidden field of a name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return found[1]


def opened(folder: Path, **env: str) -> Iterator[ShardApp]:
    """An app for all tests of a module."""
    app = create_app(load(environ={"SHARDAPI_DATA_DIR": str(folder), **env}))
    yield app
    app.shard.close()


def cleared(app: ShardApp) -> Visitor:
    """Somebody who is not signed in, as nobody is, where there is no password and no key."""
    app.extensions[DOOR] = Door(app.shard)
    app.extensions[DOOR].remove_password()
    app.extensions[SESSIONS].end_all()
    for key in living(app):
        app.shard.keys.revoke(key.id)
    return Visitor(app)


def living(app: ShardApp) -> list[Key]:
    """The keys that open something."""
    return [key for key in app.shard.keys.all() if not key.ended(clock.now())]


def browser_of(server: Server, who: str = "Ann") -> "requests.Session":
    """A client that is signed in to a server's panel."""
    import requests

    url, _, token = server.command("panel", "link", "--name", who)["url"].partition("#")
    session = requests.Session()
    session.headers.update(PAGE | {"Origin": server.url})
    answer = session.post(url, data={"token": token}, timeout=10)
    assert answer.status_code == 200 and answer.url != url, answer.text
    return session
