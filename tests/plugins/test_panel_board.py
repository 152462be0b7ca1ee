"""The board in a real Chromium: live, worked on by keyboard and by pointer, and true when its stream is cut."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from gateways import Join, served
from panels import Visitor
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from windows import HOSTILE, end_session, signed_in, window

import shardapi_panel
from shardapi import ShardApp
from shardapi.testing import Operator, Server

browsing = pytest.mark.debian("chromium")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with an open operation and two nets, at which many alerts may be sent."""
    with served(tmp_path_factory.mktemp("shard"), LIMITS__ACARS="1000/minute") as server:
        server.post("/operation", {"open": True})
        server.net("Strike")
        server.net("Recon")
        yield server


@pytest.fixture(scope="module")
def context(browser: Browser, shard: Server) -> Iterator[BrowserContext]:
    """A browser that is signed in."""
    with signed_in(browser, shard) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which no script has failed, and none of a stranger's has run."""
    with window(context) as page:
        yield page


@pytest.fixture
def board(page: Page, shard: Server) -> Page:
    """The board, live."""
    return opened(page, shard)


def opened(page: Page, shard: Server, path: str = "board") -> Page:
    """A page of the panel; the board once it is live."""
    page.goto(f"{shard.url}/panel/{path}")
    if path == "board":
        expect(page.locator("#board")).to_have_class(re.compile(r"\blinked\b"))
    return page


def person(page: Page, user: str) -> Locator:
    """An operator's row."""
    return page.locator(f'#people [data-u="{user}"]')


def net(page: Page, name: str) -> Locator:
    """A net's row."""
    return page.locator("#nets > li", has=page.locator("span", has_text=re.compile(f"^{re.escape(name)}$")))


def slot(shard: Server, name: str) -> int:
    """The slot of the net of this name."""
    found: int = next(one["id"] for one in shard.get("/status").json()["nets"] if one["name"] == name)
    return found


def told(operator: Operator, there: int, on: bool = True) -> None:
    """Wait until the operator's client knows that it is on a net, or that it is not."""
    while (there in operator.expect("config")["assignments"]) != on:
        pass


def test_what_plugins_that_are_off_would_do_is_not_offered(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(PLUGINS__ENABLED='["clients", "panel", "status"]')
    page = Visitor(app).sign_in().get("/panel/board").text
    there = set(re.findall(r'id="([a-z-]+)"(?! hidden)', page))
    assert "disconnect" in there and not {"net-new", "net-rename", "assign", "unassign"} & there
    assert "The plugin &#34;roster&#34; is off" in page


def test_every_event_is_told_in_words(app: ShardApp) -> None:
    tales = (Path(shardapi_panel.__file__).with_name("static") / "tales.js").read_text()
    assert app.shard.events.types.keys() - set(re.findall(r'^  "([a-z.]+)": ', tales, re.MULTILINE)) == set()


@browsing
def test_a_join_a_talk_and_a_leave_appear_on_the_open_board(
    board: Page, shard: Server, join: Join, user: str
) -> None:
    there = slot(shard, "Strike")
    shard.post("/assignments", {"userId": user, "netId": there})
    before = board.locator("#connected").text_content()
    one = join(user, "Zoë")
    expect(person(board, user)).to_contain_text("ZoëStrike")
    expect(board.locator("#connected")).to_have_text(str(int(before or 0) + 1))
    expect(net(board, "Strike").locator("b")).to_have_text("1")
    one.send(type="ptt.start", netId=there)
    expect(net(board, "Strike").locator("em")).to_have_text("Zoë")
    expect(person(board, user)).to_have_class("talks")
    one.send(type="ptt.stop", netId=there)
    expect(net(board, "Strike").locator("em")).to_have_text("")
    expect(board.locator("#feed li").first).to_have_text(re.compile(r"Zoë talked \d\.\d s on Strike"))
    one.close()
    expect(person(board, user)).to_have_count(0)
    expect(net(board, "Strike").locator("b")).to_have_text("0")


@browsing
def test_who_talks_as_the_page_is_loaded_is_on_it(page: Page, shard: Server, join: Join, user: str) -> None:
    there = slot(shard, "Strike")
    shard.post("/assignments", {"userId": user, "netId": there})
    one = join(user, "Ann")
    one.send(type="ptt.start", netId=there)
    one.expect("ptt.start")
    expect(net(opened(page, shard), "Strike").locator("em")).to_have_text("Ann")
    expect(person(page, user)).to_have_class("talks")
    one.send(type="ptt.stop", netId=there)
    expect(net(page, "Strike").locator("em")).to_have_text("")


@browsing
def test_who_talks_on_every_net_is_on_the_board(page: Page, shard: Server, join: Join, user: str) -> None:
    shard.post("/features", {"features": {"globalPttEnabled": True}})
    one = join(user, "Ann")
    one.send(type="ptt.start", netId=255)
    one.expect("ptt.start")
    expect(net(opened(page, shard), "Global").locator("em")).to_have_text("Ann")
    expect(person(page, user)).to_have_class("talks")
    expect(page.locator("#amount")).to_have_text(str(len(shard.get("/status").json()["nets"])))
    net(page, "Global").click()
    expect(person(page, user)).to_be_visible()
    one.send(type="ptt.stop", netId=255)
    expect(net(page, "Global").locator("em")).to_have_text("")
    expect(page.locator("#feed li").first).to_have_text(re.compile(r"Ann talked \d\.\d s on Global"))
    before = page.locator("#connected").text_content() or ""
    expect(net(page, "Global").locator("b")).to_have_text(before)
    join(f"{user}-b", "Bob")
    expect(net(page, "Global").locator("b")).to_have_text(str(int(before) + 1))
    shard.post("/features", {"features": {"globalPttEnabled": False}})
    expect(net(page, "Global")).to_have_count(0)


@browsing
def test_an_operator_is_put_on_a_net_and_taken_off_by_keyboard(
    board: Page, shard: Server, join: Join, user: str
) -> None:
    one, there = join(user, "Ann"), slot(shard, "Recon")
    person(board, user).focus()
    board.keyboard.press("a")
    board.keyboard.type("reco")
    board.keyboard.press("Enter")
    told(one, there)
    expect(person(board, user).locator("span")).to_have_text("Recon")
    expect(board.locator("#say")).to_have_text("Ann is on Recon.")
    expect(person(board, user)).to_be_focused()
    board.keyboard.press("u")
    expect(board.get_by_role("dialog")).to_contain_text("by hand")
    board.keyboard.type("reco")
    board.keyboard.press("Enter")
    told(one, there, on=False)
    expect(person(board, user).locator("span")).to_have_text("")


@browsing
def test_operators_are_dragged_onto_a_net(board: Page, shard: Server, join: Join) -> None:
    there = slot(shard, "Recon")
    both = [join(f"drag-{number}", f"Drag {number}") for number in (1, 2)]
    person(board, "drag-1").click()
    person(board, "drag-2").click(modifiers=["Control"])
    person(board, "drag-2").drag_to(net(board, "Recon"))
    for one in both:
        told(one, there)
    expect(board.locator("#say")).to_have_text("2 operators are on Recon.")
    expect(net(board, "Recon").locator("b")).to_have_text("2")


@browsing
def test_an_assignment_for_a_while_says_until_when(board: Page, shard: Server, join: Join, user: str) -> None:
    one = join(user, "Ann")
    person(board, user).click()
    board.get_by_role("button", name="Assign…", exact=True).click()
    dialog = board.get_by_role("dialog")
    dialog.get_by_label("Minutes").fill("2000")
    dialog.get_by_role("radio", name="Recon").check()
    dialog.get_by_role("button", name="Assign").click()
    expect(dialog.locator(".field", has_text="Minutes").locator(".wrong")).to_contain_text("1440")
    dialog.get_by_label("Minutes").fill("30")
    dialog.get_by_role("button", name="Assign").click()
    told(one, slot(shard, "Recon"))
    entries = shard.get("/assignments").json()["entries"]
    assert [entry["source"] for entry in entries if entry["userId"] == user] == ["temporary"]


@browsing
def test_a_net_is_made_renamed_archived_and_brought_back(board: Page, shard: Server) -> None:
    board.get_by_role("button", name="New…").click()
    dialog = board.get_by_role("dialog")
    dialog.get_by_label("Name").fill("x" * 65)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".wrong")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("x" * 65)
    dialog.get_by_label("Name").fill(HOSTILE)
    board.keyboard.press("Enter")
    expect(net(board, HOSTILE)).to_be_visible()
    expect(board.locator("#feed li").first).to_contain_text(f"Net made: {HOSTILE}")
    expect(board.locator("#feed li").first.locator("bdi")).to_have_text(HOSTILE)
    net(board, HOSTILE).click()
    board.get_by_role("button", name="Rename…").click()
    dialog.get_by_label("Name").fill("Tanker")
    board.keyboard.press("Enter")
    expect(net(board, "Tanker")).to_have_attribute("aria-selected", "true")
    expect(board.locator("#feed li").first).to_contain_text("Net renamed: Tanker")
    board.get_by_role("button", name="Archive…").click()
    dialog.get_by_role("button", name="Archive").click()
    expect(net(board, "Tanker")).to_have_count(0)
    board.get_by_role("button", name="Undo").click()
    expect(net(board, "Tanker")).to_be_visible()
    expect(board.locator(".toast")).to_have_count(0)


@browsing
def test_a_net_that_is_chosen_shows_who_is_on_it(board: Page, shard: Server, join: Join, user: str) -> None:
    shard.post("/assignments", {"userId": user, "netId": slot(shard, "Strike")})
    join(user, "Ann")
    join(f"{user}-b", "Bob")
    expect(person(board, f"{user}-b")).to_be_visible()
    net(board, "Strike").click()
    expect(person(board, f"{user}-b")).to_be_hidden()
    expect(person(board, user)).to_be_visible()
    board.get_by_role("button", name="Only operators on Strike").click()
    expect(person(board, f"{user}-b")).to_be_visible()
    board.get_by_role("searchbox").fill("bob")
    expect(person(board, user)).to_be_hidden()


@browsing
def test_the_operation_is_closed_and_opened(board: Page, shard: Server) -> None:
    switch = board.get_by_role("switch")
    switch.click()
    board.get_by_role("dialog").get_by_role("button", name="Close the operation").click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert not shard.get("/status").json()["operationOpen"]
    switch.press("Enter")
    expect(switch).to_contain_text("open")
    assert shard.get("/status").json()["operationOpen"]


@browsing
def test_an_operator_is_disconnected_with_a_reason(board: Page, join: Join, user: str) -> None:
    one = join(user, "Ann")
    person(board, user).focus()
    board.keyboard.press("d")
    board.get_by_role("dialog").get_by_label("Reason").fill("Bedtime")
    board.keyboard.press("Enter")
    assert one.expect("disconnect")["reason"] == "Bedtime"
    expect(person(board, user)).to_have_count(0)
    expect(board.locator("#feed li", has_text="was disconnected").first).to_contain_text("Ann was")


@browsing
def test_a_stream_that_is_cut_is_shown_and_heals(page: Page, shard: Server, join: Join, user: str) -> None:
    board = opened(page, shard)
    shard.stop()
    expect(board.locator("#lost")).to_contain_text("Not live since")
    expect(board.locator("#board")).to_have_class(re.compile(r"\blost\b"))
    shard.start()
    there = shard.net("Made meanwhile")
    join(user, "Ann")
    expect(board.locator("#board")).to_have_class(re.compile(r"\blinked\b"))
    expect(board.locator("#lost")).to_be_hidden()
    expect(board.locator(f'#nets [data-uid="{there["netUid"]}"]')).to_be_visible()
    expect(person(board, user)).to_be_visible()
    shard.delete(f"/nets/{there['netUid']}")
    expect(board.locator(f'#nets [data-uid="{there["netUid"]}"]')).to_have_count(0)


@browsing
def test_after_many_changes_at_once_it_is_as_the_shard_is(
    board: Page, shard: Server, join: Join, user: str
) -> None:
    users = [f"{user}-{number}" for number in range(4)]
    for one in users:
        join(one, one)
    slots = [slot(shard, "Strike"), slot(shard, "Recon"), shard.net("Third")["netId"]]
    for action in ("assign", "unassign", "assign"):
        items = [{"userId": one, "netId": there} for one in users for there in slots[: 1 + len(action) % 3]]
        shard.post("/assignments/bulk", {"assignments": items, "action": action})
    shard.delete(f"/nets/{slots[0]}")
    shard.net("Strike")
    shard.post("/nets/rename", {"netId": slots[2], "name": "Fourth"})
    expect(net(board, "Fourth")).to_be_visible()
    for told_so in (net(board, "Strike"), net(board, "Recon"), net(board, "Fourth")):
        name = told_so.locator("span").text_content()
        count = next(one["occupancy"] for one in shard.get("/status").json()["nets"] if one["name"] == name)
        expect(told_so.locator("b")).to_have_text(str(count))
    for one in shard.get("/roster").json()["operators"]:
        names = [n["name"] for n in shard.get("/status").json()["nets"] if n["id"] in one["nets"]]
        expect(person(board, one["userId"]).locator("span")).to_have_text(", ".join(names))
    shard.delete(f"/nets/{slots[2]}")


@browsing
def test_it_can_be_read_without_a_script(browser: Browser, context: BrowserContext, shard: Server) -> None:
    state: Any = context.storage_state()
    plain = browser.new_context(java_script_enabled=False, storage_state=state)
    page = plain.new_page()
    page.goto(f"{shard.url}/panel/board")
    expect(net(page, "Strike")).to_be_visible()
    expect(page.locator("#link")).to_contain_text("As of")
    plain.close()


@browsing
def test_axe_finds_nothing_on_the_board_nor_in_its_dialogs(
    board: Page, shard: Server, join: Join, user: str
) -> None:
    shard.post("/assignments", {"userId": user, "netId": slot(shard, "Strike")})
    join(user, "Ann")
    person(board, user).click()
    expect(person(board, user)).to_have_attribute("aria-selected", "true")
    assert Axe().run(board).response["violations"] == []
    for name in ("Assign…", "Unassign…", "Disconnect…"):
        board.get_by_role("button", name=name, exact=True).click()
        expect(board.get_by_role("dialog")).to_be_visible()
        assert Axe().run(board).response["violations"] == []
        board.keyboard.press("Escape")


@browsing
def test_a_session_that_ends_is_shown_and_goes_on_after_signing_in(
    browser: Browser, shard: Server, join: Join, user: str
) -> None:
    with signed_in(browser, shard) as own, window(own) as page:
        opened(page, shard)
        end_session(own, shard)
        expect(page.locator("#lost")).to_contain_text("Your session has ended")
        again = page.get_by_role("dialog")
        again.get_by_label("Password").fill(shard.command("panel", "link")["url"])
        again.get_by_role("button", name="Sign in").click()
        expect(page.locator("#board")).to_have_class(re.compile(r"\blinked\b"))
        join(user, "Ann")
        expect(person(page, user)).to_be_visible()
