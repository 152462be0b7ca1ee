"""The panel's pages that work on the board, in a real Chromium: presets, rules, ACARS, archive, features."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from gateways import Join, served
from panels import Visitor
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from windows import HOSTILE, end_session, signed_in, window

from shardapi import ShardApp
from shardapi.testing import Server

browsing = pytest.mark.debian("chromium")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with two nets, one of a hostile name, at which many alerts may be sent."""
    with served(tmp_path_factory.mktemp("shard"), LIMITS__ACARS="1000/minute") as server:
        server.net("Strike")
        server.net(HOSTILE)
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


def opened(page: Page, shard: Server, path: str) -> Page:
    """A page of the panel."""
    page.goto(f"{shard.url}/panel/{path}")
    return page


def dialog(page: Page) -> Locator:
    """The dialog that is open."""
    return page.get_by_role("dialog")


def uid(shard: Server, name: str) -> str:
    """The uid of the net of this name."""
    found: str = next(one["netUid"] for one in shard.get("/status").json()["nets"] if one["name"] == name)
    return found


@pytest.mark.parametrize("name", ["board", "presets", "rules", "acars", "archive", "features"])
def test_a_page_whose_plugins_are_off_says_which_to_enable(
    make_app: Callable[..., ShardApp], name: str
) -> None:
    answer = Visitor(make_app(PLUGINS__ENABLED='["panel"]')).sign_in().get(f"/panel/{name}")
    assert answer.status_code == 404
    assert f"off: {'status' if name == 'board' else name}" in answer.text


@browsing
def test_the_board_is_saved_as_a_preset_previewed_and_applied(page: Page, shard: Server) -> None:
    seat = {"userId": "preset-1", "netUid": uid(shard, "Strike")}
    shard.post("/assignments", seat)
    opened(page, shard, "presets")
    page.get_by_label("Name").fill("." * 2)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#save .notice.bad")).to_be_visible()
    page.get_by_label("Name").fill("50 % / Friday")
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="50 % / Friday")
    expect(row.locator("small bdi")).to_have_text(["Strike", HOSTILE])
    shard.post("/assignments", {**seat, "action": "unassign"})
    row.get_by_role("button", name="Preview…").click()
    expect(dialog(page)).to_contain_text("1 step will change something, 2 are so already.")
    expect(dialog(page).get_by_role("row").nth(1)).to_contain_text("preset-1 → Strike")
    assert shard.get("/assignments").json()["assignments"] == {}
    assert Axe().run(page).response["violations"] == []
    dialog(page).get_by_role("button", name="Apply").click()
    expect(dialog(page)).to_contain_text("50 % / Friday is applied")
    assert list(shard.get("/assignments").json()["assignments"]) == ["preset-1"]
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Delete…").click()
    dialog(page).get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert shard.get("/presets").json()["presets"] == []


@browsing
def test_an_alert_is_previewed_then_sent_to_operators(
    page: Page, shard: Server, join: Join, user: str
) -> None:
    one = join(user, "Ann")
    opened(page, shard, "acars")
    text = page.get_by_label("Text")
    text.fill("x" * 281)
    expect(page.locator("#left")).to_have_text("1 character too many.")
    page.get_by_role("button", name="Preview…").click()
    expect(page.locator(".field", has=text).locator(".wrong")).to_be_visible()
    expect(text).to_have_value("x" * 281)
    text.fill(HOSTILE)
    page.get_by_label("Kind").select_option("Critical")
    expect(page.locator("#stage p")).to_have_text(HOSTILE)
    page.get_by_role("button", name="Preview…").click()
    expect(dialog(page)).to_contain_text("1 client will see this")
    assert Axe().run(page).response["violations"] == []
    dialog(page).get_by_role("button", name="Send to 1 client").click()
    heard = one.expect("acars")["data"]
    assert (heard["text"], heard["alertType"]) == (HOSTILE, "critical")
    expect(page.locator("#reached")).to_have_text("1 of 1 client")
    expect(text).to_have_value("")


@browsing
def test_rules_are_saved_and_move_who_is_connected(page: Page, shard: Server, join: Join, user: str) -> None:
    one = join(user, "Ann", ["pilots"])
    opened(page, shard, "rules")
    page.get_by_role("button", name="Add a rule").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("td", has=page.get_by_label("Role id")).locator(".wrong")).to_be_visible()
    page.get_by_label("Role id").fill("pilots")
    page.get_by_label("Add a net to the rule").select_option(label=f"02 {HOSTILE}")
    page.get_by_role("button", name="Save").click()
    while one.expect("config")["assignments"] != [2]:
        pass
    expect(page.locator("#state")).to_have_text("Saved")
    shard.post("/rules", {"rules": []})


@browsing
def test_rules_that_someone_else_has_changed_are_not_overwritten_unseen(page: Page, shard: Server) -> None:
    opened(page, shard, "rules")
    shard.post("/operation", {"open": True})  # the version moves on, and with it no rule
    shard.post("/operation", {"open": False})
    page.get_by_role("button", name="Add a rule").click()
    page.get_by_label("Role id").fill("mine")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#state")).to_have_text("Saved")
    theirs = {"roleId": "theirs", "netUids": [uid(shard, "Strike")]}
    shard.post("/rules", {"rules": [theirs]})
    page.get_by_label("Role id").fill("mine-2")
    page.get_by_role("button", name="Save").click()
    conflict = page.locator(".conflict")
    expect(conflict).to_contain_text("Someone else has changed this")
    expect(conflict).to_contain_text("Role theirs: Strike")
    expect(page.get_by_label("Role id")).to_have_value("mine-2")
    assert [rule["roleId"] for rule in shard.get("/rules").json()["rules"]] == ["theirs"]
    conflict.get_by_role("button", name="Save mine").click()
    expect(page.locator("#state")).to_have_text("Saved")
    assert [rule["roleId"] for rule in shard.get("/rules").json()["rules"]] == ["mine-2"]
    shard.post("/rules", {"rules": []})


@browsing
def test_features_are_switched_and_who_changed_another_loses_nothing(page: Page, shard: Server) -> None:
    opened(page, shard, "features")
    shard.post("/features", {"features": {"readyCheckEnabled": False}})
    page.get_by_label("Global push-to-talk").check()
    page.get_by_label("Nets at most").fill("1")
    page.locator("#features").get_by_role("button", name="Save").click()
    expect(page.locator("#features .notice.bad")).to_be_visible()
    expect(page.get_by_label("Nets at most")).to_have_value("1")
    page.get_by_label("Nets at most").fill("40")
    page.locator("#features").get_by_role("button", name="Save").click()
    expect(page.get_by_label("Ready check")).not_to_be_checked()
    features = shard.get("/features").json()["features"]
    assert (features["globalPttEnabled"], features["maxNets"], features["readyCheckEnabled"]) == (
        True,
        40,
        False,
    )


@browsing
def test_the_public_net_is_shown_hidden_and_reset(page: Page, shard: Server) -> None:
    public = opened(page, shard, "features").locator("#public")
    public.get_by_label("Name").fill("Rally")
    public.get_by_label("Roles").fill("1\n2, 2")
    public.get_by_role("button", name="Show").click()
    expect(page.locator("#public-state")).to_have_text("shown")
    shown = shard.get("/public-net").json()["publicNet"]
    assert shown == {"enabled": True, "name": "Rally", "roleIds": ["1", "2"]}
    public.get_by_role("button", name="Hide", exact=True).click()
    expect(page.locator("#public-state")).to_have_text("hidden")
    public.get_by_role("button", name="Hide and reset…").click()
    dialog(page).get_by_role("button", name="Hide and reset").click()
    expect(public.get_by_label("Name")).not_to_have_value("Rally")


@browsing
def test_the_archive_is_searched_changed_and_restored(page: Page, shard: Server) -> None:
    for name, tags in (("Old wing", ["air", "escort"]), ("Old ground", ["ground"])):
        shard.post("/archive", {"name": name, "tags": tags, "notes": HOSTILE})
    opened(page, shard, "archive")
    page.get_by_role("searchbox").fill("old")
    page.keyboard.press("Enter")
    rows = page.locator("#entries tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_role("link", name="air").click()
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("q=old.*tag=air|tag=air.*q=old"))
    rows.get_by_role("button", name="Edit…").click()
    expect(dialog(page).get_by_label("Notes")).to_have_value(HOSTILE)
    dialog(page).get_by_label("Tags").fill("air\nx" + "y" * 40)
    dialog(page).get_by_role("button", name="Save").click()
    expect(dialog(page).locator(".field", has_text="Tags").locator(".wrong")).to_be_visible()
    dialog(page).get_by_label("Tags").fill("air\n\nspare")
    dialog(page).get_by_role("button", name="Save").click()
    expect(rows).to_contain_text("spare")
    rows.get_by_role("button", name="Restore…").click()
    dialog(page).get_by_label("Name").fill("New wing")
    dialog(page).get_by_role("button", name="Restore").click()
    expect(rows).to_contain_text("active")
    assert uid(shard, "New wing") == rows.get_attribute("data-uid")
    opened(page, shard, "archive?q=ground")
    rows.get_by_role("button", name="Delete…").click()
    dialog(page).get_by_role("button", name="Delete for ever").click()
    expect(rows).to_have_count(0)


@browsing
def test_an_edit_of_an_entry_changes_what_was_edited_alone(page: Page, shard: Server) -> None:
    kept = {"tags": ["alpha, beta", "gamma"], "notes": "One\r\nTwo\n"}
    entry = shard.post("/archive", {"name": "Commas", **kept}).json()["entry"]
    opened(page, shard, "archive?q=commas")
    page.get_by_role("button", name="Edit…").click()
    dialog(page).get_by_label("Name").fill("Commas kept")
    dialog(page).get_by_role("button", name="Save").click()
    expect(page.locator("#entries")).to_contain_text("Commas kept")
    now = shard.get(f"/archive/{entry['uid']}").json()["entry"]
    assert {name: now[name] for name in kept} == kept
    page.get_by_role("button", name="Edit…").click()
    expect(dialog(page).get_by_label("Tags")).to_have_value("alpha, beta\ngamma")
    dialog(page).get_by_label("Tags").fill("alpha, beta\ndelta")
    dialog(page).get_by_role("button", name="Save").click()
    expect(page.locator("#entries")).to_contain_text("delta")
    now = shard.get(f"/archive/{entry['uid']}").json()["entry"]
    assert (now["tags"], now["notes"]) == (["alpha, beta", "delta"], kept["notes"])


@browsing
def test_an_entry_that_someone_else_has_changed_is_not_overwritten_unseen(page: Page, shard: Server) -> None:
    entry = shard.post("/archive", {"name": "Twice"}).json()["entry"]
    opened(page, shard, "archive?q=twice")
    page.get_by_role("button", name="Edit…").click()
    dialog(page).get_by_label("Notes").fill("Mine")
    shard.post(f"/archive/{entry['uid']}", {"notes": "Theirs"})
    dialog(page).get_by_role("button", name="Save").click()
    expect(dialog(page)).to_contain_text("Someone else has changed this entry")
    expect(dialog(page).get_by_label("Notes")).to_have_value("Mine")
    assert shard.get(f"/archive/{entry['uid']}").json()["entry"]["notes"] == "Theirs"
    dialog(page).get_by_role("button", name="Save").click()
    expect(dialog(page)).to_have_count(0)
    assert shard.get(f"/archive/{entry['uid']}").json()["entry"]["notes"] == "Mine"


@browsing
def test_a_session_that_ends_as_one_writes_loses_nothing(browser: Browser, shard: Server, join: Join) -> None:
    with signed_in(browser, shard) as own, window(own) as page:
        opened(page, shard, "acars")
        page.get_by_label("Text").fill("Briefing in 5")
        end_session(own, shard)
        page.get_by_role("button", name="Preview…").click()
        again = dialog(page).filter(has_text="Sign in again")
        again.get_by_label("Password").fill(shard.command("panel", "link")["url"])
        again.get_by_role("button", name="Sign in").click()
        expect(dialog(page)).to_contain_text("Nobody is connected")
        expect(page.locator("#text")).to_have_value("Briefing in 5")
        page.keyboard.press("Escape")
        page.get_by_label("Text").fill("")
        shard.post("/archive", {"name": "Left open"})
        opened(page, shard, "archive?q=left")
        end_session(own, shard)
        page.get_by_role("button", name="Edit…").click()
        again.get_by_label("Password").fill(shard.command("panel", "link")["url"])
        again.get_by_role("button", name="Sign in").click()
        expect(dialog(page).get_by_label("Name")).to_have_value("Left open")
