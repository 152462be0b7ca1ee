"""/docs in a real Chromium: a call is tried, places are found, and it can be read by everyone, on any screen."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_docs_pages import STRANGER

from shardapi.testing import Server

pytestmark = pytest.mark.debian("chromium")

# One of each kind; at full size it is every page.
CHOSEN = (
    *("", "keys", "operators", "reference", "reference/evil", "event-types", "errors", "scopes"),
    "search?q=net",
)
WIDTHS = (360, 1280, 2560)
ALL_PLACES = """async () => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state, window.name,
  performance.getEntriesByType("resource").map((one) => one.name),
  (await indexedDB.databases()).map((one) => one.name), await caches?.keys(), document.documentElement.outerHTML,
])"""


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with a plugin that means no good."""
    folder = tmp_path_factory.mktemp("shard")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "evil.py").write_text(STRANGER)
    env = {"SHARDAPI_PLUGINS__DIR": str(folder / "plugins"), "SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}
    server = Server(folder / "data", env)
    try:
        yield server.start()
    finally:
        server.kill()


def watched(context: BrowserContext, shard: Server) -> tuple[Page, list[str]]:
    """A page, and what went wrong on it: scripts that failed or ran, refusals of its policy, requests elsewhere."""
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None
    )
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(shard.url) else None)
    return page, wrong


@pytest.fixture
def page(browser: Browser, shard: Server) -> Iterator[Page]:
    """A page on which nothing went wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, wrong = watched(context, shard)
    yield page
    context.close()
    assert wrong == []


def trial(page: Page, shard: Server, where: str) -> Any:
    """The form of a call, opened."""
    page.goto(f"{shard.url}/docs/{where}")
    section = page.locator(f"[id='{where.partition('#')[2]}']")
    section.get_by_role("button", name="Try it").click()
    form = section.locator("form")
    expect(form).to_be_visible()
    return form


def names(shard: Server) -> list[str]:
    """The nets there are."""
    return [net["name"] for net in shard.get("/status").json()["nets"]]


def test_a_write_is_tried_dry_first_and_then_for_real(page: Page, shard: Server) -> None:
    form = trial(page, shard, "reference/nets#nets_create")
    expect(form.get_by_label("Dry run")).to_be_checked()
    form.locator("[data-key]").fill(shard.key())
    form.get_by_label("Body").fill('{"name": "Tried"}')
    form.get_by_role("button", name="Send").click()
    outcome = form.locator(".outcome")
    expect(outcome).to_contain_text("200 OK")
    expect(outcome).to_contain_text('"dryRun": true')
    expect(outcome.locator("dl")).to_contain_text("x-ratelimit-remaining")
    assert names(shard) == []
    form.get_by_label("Dry run").uncheck()
    expect(form.get_by_text("This will be done for real.")).to_be_visible()
    form.get_by_text("Other write options").click()
    form.get_by_label("Idempotency-Key").fill("once")
    for replayed in (False, True):
        form.get_by_role("button", name="Send").click()
        expect(outcome).to_contain_text('"changed": true')
        expect(outcome.locator("dt", has_text="idempotent-replayed")).to_have_count(int(replayed))
    assert names(shard) == ["Tried"]
    form.get_by_label("Idempotency-Key").fill("")
    form.get_by_label("Body").fill('{"name": ')
    form.get_by_role("button", name="Send").click()
    expect(outcome).to_contain_text("malformed_json")


def test_the_key_is_in_memory_and_nowhere_else(page: Page, shard: Server) -> None:
    form = trial(page, shard, "reference/status#status_read")
    key = shard.key()
    form.locator("[data-key]").fill(key)
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".outcome")).to_contain_text("200 OK")
    kept = page.evaluate(ALL_PLACES)
    assert key not in kept and json.loads(kept)[:3] == [{}, {}, ""]
    state = page.context.storage_state(indexed_db=True)
    assert state["cookies"] == [] and state["origins"] == []
    page.reload()
    page.get_by_role("button", name="Try it").first.click()
    expect(page.locator("form [data-key]").first).to_have_value("")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".outcome").first).to_contain_text("401")
    page.locator("form [data-key]").first.fill(key)
    page.goto(f"{shard.url}/docs/keys")
    page.go_back()
    for field in page.locator("form [data-key]").all():
        expect(field).to_have_value("")


def test_a_key_typed_once_is_for_all_calls_of_a_page(page: Page, shard: Server) -> None:
    form = trial(page, shard, "reference/nets#nets_create")
    form.locator("[data-key]").fill(shard.key())
    page.locator("#nets_delete").get_by_role("button", name="Try it").click()
    other = page.locator("#nets_delete form")
    expect(other.locator("[data-key]")).to_have_value(shard.key())
    other.get_by_label("ref").fill("49?x=#")
    other.get_by_role("button", name="Send").click()
    expect(other.locator(".outcome")).to_contain_text("net_not_found")


def test_a_call_without_a_key_sends_none_and_a_stream_is_stopped(page: Page, shard: Server) -> None:
    form = trial(page, shard, "reference/openapi#openapi_read")
    expect(form.locator("[data-key]")).to_have_count(0)
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".outcome")).to_contain_text('"openapi": "3.1.0"')
    form = trial(page, shard, "reference/stream#stream_follow")
    form.locator("[data-key]").fill(shard.key())
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".outcome")).to_contain_text("text/event-stream")
    shard.post("/operation", {"open": True})
    expect(form.locator(".outcome")).to_contain_text("event: operation.opened")
    form.get_by_role("button", name="Stop").click()
    expect(form.get_by_role("button", name="Send")).to_be_enabled()
    shard.post("/operation", {"open": False})


def test_places_are_found_by_keyboard(page: Page, shard: Server) -> None:
    page.goto(f"{shard.url}/docs")
    page.keyboard.press("/")
    page.keyboard.type("assignments bulk")
    expect(page.get_by_role("option").first).to_contain_text("POST /assignments/bulk")
    expect(page.locator("#hits")).not_to_contain_text("`")
    expect(page.get_by_role("combobox")).to_have_attribute("aria-activedescendant", "hit-0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/reference/assignments#assignments_assign_many")
    page.keyboard.press("/")
    page.keyboard.type("ptt st")
    expect(page.get_by_role("option").first).to_contain_text("ptt.start")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    page.get_by_role("combobox").fill("xyzzy")
    expect(page.locator("#hits")).to_contain_text("Nothing")


def test_examples_are_in_the_language_one_chooses(page: Page, shard: Server) -> None:
    page.goto(f"{shard.url}/docs/reference/nets")
    example = page.locator("#nets_create .shown")
    expect(example.get_by_text("curl http")).to_be_visible()
    page.get_by_role("radio", name="Python").check()
    expect(example.get_by_text("import requests")).to_be_visible()
    expect(example.get_by_text("curl http")).to_be_hidden()
    page.get_by_role("navigation").get_by_role("link", name="Keys and scopes").click()
    page.get_by_role("navigation").get_by_role("link", name="Roster").click()
    expect(page.locator("#roster_read").get_by_text("import requests")).to_be_visible()
    page.reload()
    expect(page.get_by_role("radio", name="Python")).to_be_checked()
    page.goto(f"{shard.url}/docs/reference/nets?in=klingon")
    expect(page.get_by_role("radio", name="curl")).to_be_checked()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, shard: Server, size: str, theme: Any, figure: Callable[[str, float, str], None]
) -> None:
    context = browser.new_context(color_scheme=theme, viewport={"width": 1280, "height": 900})
    page, wrong = watched(context, shard)
    page.goto(f"{shard.url}/docs")
    links = page.eval_on_selector_all(".menu a", "all => all.map((one) => new URL(one.href).pathname)")
    every = [f"/docs/{name}".rstrip("/") for name in CHOSEN] if size == "ci" else sorted({*links, "/docs"})
    if size == "ci" and theme == "dark":
        every = every[1::3]
    reports: list[tuple[str, str]] = []
    for path in every:
        page.goto(shard.url + path)
        if page.get_by_role("button", name="Try it").count():
            page.get_by_role("button", name="Try it").first.click()
            expect(page.locator("form.trial").first).to_be_visible()
        found = Axe().run(page)
        if found.violations_count:
            reports.append((path, found.generate_report()))
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        page.set_viewport_size({"width": 1280, "height": 900})
    context.close()
    assert reports[:1] == []
    figure(f"docs.{theme}.pages-without-violations", len(every) - len(reports), f"== {len(every)}")
    assert wrong == []


def test_without_scripts_all_can_be_read_and_found(browser: Browser, shard: Server) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 780})
    page = context.new_page()
    page.goto(f"{shard.url}/docs")
    page.get_by_role("button", name="Contents").click()
    page.get_by_role("navigation").get_by_role("link", name="Nets", exact=True).click()
    expect(page.get_by_text("import requests").first).to_be_hidden()
    page.get_by_text("Python", exact=True).click()
    expect(page.get_by_text("import requests").first).to_be_visible()
    expect(page.get_by_role("button", name="Try it")).to_have_count(0)
    page.get_by_role("searchbox").fill("no_free_slot")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="no_free_slot").click()
    expect(page.locator("#no_free_slot")).to_be_in_viewport()
    context.close()


def test_all_of_it_can_be_printed(page: Page, shard: Server) -> None:
    page.goto(f"{shard.url}/docs/all")
    page.emulate_media(media="print")
    expect(page.locator("header.bar")).to_be_hidden()
    expect(page.locator("#menu")).to_be_hidden()
    example = page.locator("[id='reference/nets.nets_create'] .shown")
    for words in ("curl http", "import requests", "Invoke-RestMethod"):
        expect(example.get_by_text(words)).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
