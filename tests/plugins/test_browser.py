"""An operator in a real browser: it can only show its token as a subprotocol, and only pages that may connect do."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from shardapi.testing import Server

pytestmark = pytest.mark.debian("chromium")

PAGES = Path(__file__).with_name("browser")
PAGE = "operator.html"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of a site, not the shard's, that has the page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(PAGES))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory, site: int) -> Iterator[Server]:
    """A shard at which pages of http://127.0.0.1:… may connect."""
    env = {
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
        "SHARDAPI_PLUGINS__GATEWAY__ORIGINS": f'["http://127.0.0.1:{site}"]',
    }
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own, on which no script has failed."""
    errors: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def told(shard: Server, token: str) -> str:
    """What the page is told behind the #."""
    return "#" + urlencode({"ws": shard.url.replace("http", "ws") + "/ws", "token": token})


def token(shard: Server, user: str = "7", name: str = "Zoë") -> str:
    """An operator's token."""
    minted: str = shard.command("operators", "token", user, "--name", name)["token"]
    return minted


def roster(shard: Server) -> dict[str, Any]:
    """Who is connected, by user id."""
    return {one["userId"]: one for one in shard.get("/roster").json()["operators"]}


def test_an_operator_connects_joins_and_talks(shard: Server, site: int, page: Page) -> None:
    shard.post("/operation", {"open": True})
    net = shard.net("Strike")["netUid"]
    shard.post("/assignments", {"userId": "7", "netUid": net})
    page.goto(f"http://127.0.0.1:{site}/{PAGE}{told(shard, token(shard))}")
    expect(page.locator("#state")).to_have_text("joined as Zoë by bearer")
    expect(page.locator("#nets")).to_have_text("Strike")
    assert roster(shard)["7"]["displayName"] == "Zoë"
    key = page.get_by_role("button", name="Hold to talk")
    key.hover()
    page.mouse.down()
    expect(page.locator("#heard")).to_have_text("Zoë talks")
    assert roster(shard)["7"]["transmitting"]
    page.mouse.up()
    expect(page.locator("#heard")).to_have_text("Zoë stopped: released")
    assert not roster(shard)["7"]["transmitting"]
    shard.post("/nets/rename", {"netUid": net, "name": "Strike & Söhne"})
    expect(page.locator("#nets")).to_have_text("Strike & Söhne")
    shard.post("/operation", {"open": False})
    expect(key).to_be_disabled()
    page.goto("about:blank")
    shard.wait(lambda: not roster(shard), "the operator to leave")


def test_a_page_of_another_origin_is_refused(shard: Server, site: int, page: Page) -> None:
    page.goto(f"http://localhost:{site}/{PAGE}{told(shard, token(shard))}")
    expect(page.locator("#state")).to_have_text("closed 1006")
    shard.wait(lambda: not roster(shard), "nobody to be there")


def test_a_page_without_an_origin_is_refused(shard: Server, page: Page) -> None:
    page.goto((PAGES / PAGE).as_uri() + told(shard, token(shard)))
    expect(page.locator("#state")).to_have_text("closed 1006")
    shard.wait(lambda: not roster(shard), "nobody to be there")


def test_a_page_of_the_shards_own_needs_no_leave(shard: Server, page: Page) -> None:
    page.goto(f"{shard.url}/health{told(shard, token(shard))}")
    page.set_content((PAGES / PAGE).read_text("utf-8"))
    expect(page.locator("#state")).to_have_text("joined as Zoë by bearer")


def test_a_page_with_a_wrong_token_is_refused(shard: Server, site: int, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{site}/{PAGE}{told(shard, token(shard)[:-4])}")
    expect(page.locator("#state")).to_have_text("closed 1006")
    shard.wait(lambda: not roster(shard), "nobody to be there")


def test_one_who_is_disconnected_is_told_why(shard: Server, site: int, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{site}/{PAGE}{told(shard, token(shard))}")
    expect(page.locator("#state")).to_have_text("joined as Zoë by bearer")
    shard.post("/clients/disconnect", {"userId": "7", "reason": "Bedtime"})
    expect(page.locator("#state")).to_have_text("closed 4001")
    expect(page.locator("#heard")).to_have_text("Bedtime")
