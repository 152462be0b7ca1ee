"""The page of the panel that the guide of plugin authors shows, in a real Chromium."""

from collections.abc import Iterator

import pytest
from guide import SINGLE, write
from manual import streams
from playwright.sync_api import Browser, expect
from windows import signed_in, window

from shardapi.testing import Server

pytestmark = pytest.mark.debian("chromium")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with the plugins of the guide."""
    env = {
        "SHARDAPI_PLUGINS__DIR": str(write(tmp_path_factory.mktemp("guide")) / "plugins"),
        "SHARDAPI_PLUGINS__ENABLED": ",".join(["*", *SINGLE]),
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
    }
    server = Server(tmp_path_factory.mktemp("shard"), env)
    try:
        yield server.start()
    finally:
        server.kill()


def test_a_lamp_is_lit_while_somebody_talks_and_its_button_closes_the_operation(
    browser: Browser, shard: Server
) -> None:
    uid = shard.net("Strike")["netUid"]
    shard.post("/assignments", {"userId": "1", "netUid": uid})
    shard.post("/operation", {"open": True})
    ann = shard.operator("1", "Ann")
    with signed_in(browser, shard) as context, window(context) as page:
        page.goto(f"{shard.url}/panel/plugins/lamps/lamps")
        lamp = page.get_by_role("listitem").filter(has_text="Strike")
        expect(lamp).to_contain_text("is quiet")
        shard.wait(lambda: streams(shard) == 1, "the page to listen")
        ann.send(type="ptt.start", netUid=uid)
        expect(lamp).to_contain_text("talks")
        page.wait_for_load_state("load")  # only then its script heeds the button
        page.get_by_role("button", name="Close the operation").click()
        shard.wait(lambda: not shard.get("/status").json()["operationOpen"], "the operation to be closed")
        expect(lamp).to_contain_text("is quiet")
    ann.close()
