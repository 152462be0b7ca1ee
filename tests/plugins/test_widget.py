"""/embed/widget in a real Chromium, framed by a page of another origin; and as it is without a script."""

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from apps import API, client_with, join, problem
from axe_playwright_python.sync_playwright import Axe
from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, Frame, Page, Route, expect

from shardapi import ShardApp
from shardapi.clock import iso, now
from shardapi.commands import CreateNet, PublicNetChanges, SetOperation, SetPublicNet
from shardapi.testing import Operator, Server
from shardapi_embed.site import Site

WIDGET = f"{API}/embed/widget"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
POLL_MS = 5_000
browsing = pytest.mark.debian("chromium")


# -- as HTML


def page_of(app: ShardApp, token: str | None = None, accept: str = BROWSER["Accept"], **query: str) -> Any:
    """The answer to a browser without a key."""
    site: Site = app.extensions["embed"]
    given = {"token": site.tokens.mint().token if token is None else token, **query}
    return client_with(app, "").get(WIDGET, query_string=given, headers={"Accept": accept})


def policy_of(answer: Any) -> dict[str, str]:
    """The content security policy by directive."""
    given = answer.headers["Content-Security-Policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in given)


def test_it_can_be_read_without_a_script(app: ShardApp) -> None:
    app.shard.central.submit(
        [
            CreateNet(uid="net_a", name="Strike"),
            SetOperation(open=True),
            SetPublicNet(action="show", changes=PublicNetChanges(name="Rally")),
        ]
    )
    talker, _ = join(app, "1"), join(app, "2")
    app.shard.presence.key_up(talker, "net_public")
    text = page_of(app).text
    read = " ".join(re.sub(r"<(style|script|template).*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL).split())
    assert "Shard Operation open Operators live 2 Nets talking 1 Nets 2" in read
    assert re.search(
        r"01 Strike Public talking now, 0 operators –– Rally Public talking now, 2 operators", read
    )
    rows = re.findall(r'<li class="(net[^"]*)"', text.partition("<template")[0])
    assert rows == ["net empty", "net talking"]
    assert re.search(r"As of \d\d:\d\d:\d\d UTC", read) and "Refresh" in read


def test_its_policy_lets_it_do_what_it_does_and_nothing_else(app: ShardApp) -> None:
    policy = policy_of(page_of(app))
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy.pop("script-src"))
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy.pop("style-src"))
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }


def test_its_headers(app: ShardApp) -> None:
    headers = page_of(app).headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "public, max-age=5"
    assert "X-Frame-Options" not in headers and "Set-Cookie" not in headers


def test_the_page_does_not_hold_its_token(app: ShardApp) -> None:
    site: Site = app.extensions["embed"]
    assert site.tokens.mint().token not in page_of(app).text


@pytest.mark.parametrize("theme", ["auto", "dark", "light"])
def test_it_has_themes(app: ShardApp, theme: str) -> None:
    assert f'<html lang="en" data-theme="{theme}">' in page_of(app, theme=theme).text
    assert 'data-theme="auto"' in page_of(app).text


def test_names_are_text(app: ShardApp) -> None:
    name = '<img src=x onerror="alert(1)">&amp;\'</template></script>'
    app.shard.central.submit([CreateNet(uid="net_a", name=name)])
    text = page_of(app).text
    assert name not in text and "&lt;img src=x" in text
    assert text.count("<script") == text.count("</script>") == 1


@pytest.mark.parametrize(
    ("token", "query", "status", "heading"),
    [
        ("nonsense", {}, 401, "This is not a status link"),
        ("", {"theme": "dark"}, 401, "This is not a status link"),
        (None, {"theme": "<b>neon</b>"}, 400, "This page cannot be shown"),
    ],
)
def test_a_browser_is_refused_with_a_page(
    app: ShardApp, token: str | None, query: dict[str, str], status: int, heading: str
) -> None:
    answer = page_of(app, token, **query)
    assert answer.status_code == status and answer.content_type == "text/html; charset=utf-8"
    assert f"<h1>{heading}</h1>" in answer.text and "<b>" not in answer.text and "<script" not in answer.text
    assert answer.headers["Content-Security-Policy"] == page_of(app).headers["Content-Security-Policy"]


def test_a_browser_with_an_old_link_is_told_that_it_has_ended(app: ShardApp) -> None:
    site: Site = app.extensions["embed"]
    old = site.tokens.mint().token
    site.tokens.rotate()
    answer = page_of(app, old)
    assert answer.status_code == 410 and "<h1>This status link has ended</h1>" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_program_is_refused_with_a_problem(app: ShardApp, client: FlaskClient) -> None:
    problem(page_of(app, "nonsense", accept="*/*"), "public_token_invalid")
    refused = problem(page_of(app, accept="*/*", theme="neon"), "invalid_value")
    assert refused["errors"] == [{"path": "theme", "message": "is not one of them"}]


# -- in a browser


class Org(BaseHTTPRequestHandler):
    """The org's site: any path is a page that frames what its query says; it notes what it is asked for."""

    asked: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Referer", "")))
        given = parse_qs(urlsplit(self.path).query)
        framed, sandbox = (
            given.get("frame", ["about:blank"])[0],
            " sandbox=allow-scripts" * ("sandbox" in given),
        )
        page = '<!doctype html><html lang="en"><title>Org</title><h1>Our org</h1>'
        page += f'<iframe src="{framed}" title="Live"{sandbox}'
        body = f'{page} style="width: 90vw; height: 400px"></iframe>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def org() -> Iterator[str]:
    """The address of a site that is not the shard's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Org) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of its own, in which no page has failed or broken its policy."""
    complaints: list[str] = []
    context = browser.new_context()
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page whose clock stands until it is told to run."""
    context.clock.install()
    return context.new_page()


@pytest.fixture(scope="module")
def link(shard: Server) -> str:
    """The link of the widget."""
    found: str = shard.get("/public-token").json()["widgetUrl"]
    return found


@pytest.fixture
def net(shard: Server) -> Iterator[str]:
    """A net called Strike that user 1 is on, in an open operation."""
    uid: str = shard.net("Strike")["netUid"]
    shard.post("/assignments", {"userId": "1", "netUid": uid})
    shard.post("/operation", {"open": True})
    settled(shard)
    yield uid
    shard.delete(f"/nets/{uid}")
    shard.post("/operation", {"open": False})


def settled(shard: Server, **members: Any) -> None:
    """Wait until the snapshot is of now."""
    token = shard.get("/public-token").json()["token"]

    def live() -> dict[str, Any]:
        found: dict[str, Any] = shard.get("/embed/status", params={"token": token}, key="").json()
        return found

    before = live()["updatedAt"]
    shard.wait(lambda: live()["updatedAt"] != before, "a new snapshot")


def row(place: Page | Frame, name: str) -> Any:
    """The row of a net."""
    return place.locator("#nets .net", has_text=name)


def poll(page: Page) -> None:
    """Let five seconds pass for the page; what it asks for comes in its own time."""
    page.clock.run_for(POLL_MS)


@browsing
def test_framed_by_another_origin_it_shows_what_is_live_and_follows_it(
    shard: Server, org: str, link: str, page: Page, net: str, operator: Callable[..., Operator]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/*", lambda route: route.continue_())  # past the cache, whose five seconds are real ones
    page.goto(f"{org}/?frame={link}")
    frame = page.frames[1]
    expect(frame.locator("#state")).to_have_text("Operation open")
    expect(frame.locator("#connected")).to_have_text("0")
    expect(row(frame, "Strike").locator(".count")).to_have_text("0 operators")
    expect(row(frame, "Strike").locator(".talk")).to_be_hidden()
    ann = operator("1", "Ann Onymous")
    ann.send(type="ptt.start", netUid=net)
    ann.expect("ptt.start")
    second = shard.net("Recon <b>&")["netUid"]
    settled(shard)
    poll(page)
    expect(frame.locator("#connected")).to_have_text("1")
    expect(frame.locator("#talking")).to_have_text("1")
    expect(row(frame, "Strike").locator(".count")).to_have_text("1 operator")
    expect(row(frame, "Strike").locator(".talk")).to_be_visible()
    expect(row(frame, "Recon <b>&")).to_be_visible()
    shard.post("/nets/rename", {"netUid": net, "name": "Strike Ω"})
    shard.delete(f"/nets/{second}")
    shard.post("/operation", {"open": False})
    settled(shard)
    poll(page)
    expect(frame.locator("#state")).to_have_text("Operation closed")
    expect(frame.locator("#nets .net")).to_have_count(1)
    expect(row(frame, "Strike Ω").locator(".talk")).to_be_hidden()
    expect(frame.locator("#news")).to_have_text("Operation closed.")
    assert "Onymous" not in frame.content()
    origins = {f"{one.scheme}://{one.netloc}" for one in map(urlsplit, asked)}
    assert origins == {org, shard.url}


@browsing
def test_in_a_sandbox_it_is_live_too(shard: Server, org: str, link: str, page: Page, net: str) -> None:
    page.route("**/*", lambda route: route.continue_())
    page.goto(f"{org}/?sandbox=1&frame={link}")
    frame = page.frames[1]
    expect(frame.locator("#state")).to_have_text("Operation open")
    shard.post("/operation", {"open": False})
    settled(shard)
    poll(page)
    expect(frame.locator("#state")).to_have_text("Operation closed")
    expect(frame.locator("#fresh")).to_have_text(re.compile("^Live, "))


@browsing
def test_the_token_is_in_no_referrer(org: str, link: str, page: Page) -> None:
    Org.asked.clear()
    page.goto(link)
    page.evaluate("address => { location.href = address }", f"{org}/from-the-widget")
    page.wait_for_url(f"{org}/from-the-widget")
    assert [referrer for path, referrer in Org.asked if path == "/from-the-widget"] == [""]


@browsing
def test_a_browser_without_scripts_shows_it_too(
    browser: Browser, org: str, link: str, net: str, operator: Callable[..., Operator], shard: Server
) -> None:
    operator("1")
    settled(shard)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{org}/?frame={link}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#state")).to_have_text("Operation open")
    expect(frame.locator("#nets .net", has_text="Strike").locator(".count")).to_have_text("1 operator")
    expect(frame.locator("#fresh")).to_have_text(re.compile(r"As of \d\d:\d\d:\d\d UTC"))
    expect(frame.get_by_role("link", name="Refresh")).to_be_visible()
    frame.get_by_role("link", name="Refresh").click()
    expect(frame.locator("#state")).to_have_text("Operation open")
    context.close()


@browsing
def test_a_page_on_a_disk_may_frame_it_too(link: str, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "live.html"
    file.write_text(f'<!doctype html><title>Live</title><iframe src="{link}"></iframe>')
    page.goto(file.as_uri())
    expect(page.frame_locator("iframe").locator("#state")).to_be_visible()


@browsing
def test_only_sites_that_are_named_may_frame_it(busy: Server, browser: Browser, org: str) -> None:
    link = busy.get("/public-token").json()["widgetUrl"]
    context = browser.new_context()
    page = context.new_page()
    with page.expect_console_message(lambda said: "frame-ancestors" in said.text):
        page.goto(f"{org.replace('127.0.0.1', 'localhost')}/?frame={link}")
    assert page.frames[1].locator("#state").count() == 0
    page.goto(f"{org}/?frame={link}")
    expect(page.frames[1].locator("#state")).to_be_visible()
    context.close()


# -- how it asks


COUNTING = """
    window.asked = 0;
    const real = window.fetch;
    window.fetch = (...given) => { window.asked += 1; return real(...given); };
"""


class Shardless:
    """Answers the widget's questions in the shard's place, and counts them."""

    def __init__(self, page: Page) -> None:
        self.count = 0
        self.status: int | None = None
        self.members: dict[str, Any] = {}
        page.route("**/embed/status*", self._answer)
        page.add_init_script(COUNTING)

    def _answer(self, route: Route) -> None:
        self.count += 1
        if self.status is None:
            route.abort()
        elif self.status != 200:
            route.fulfill(status=self.status, body="{}")
        else:
            answer = route.fetch()
            route.fulfill(response=answer, body=json.dumps({**answer.json(), **self.members}))


@browsing
def test_it_asks_less_and_less_while_nobody_answers_and_says_so(link: str, page: Page) -> None:
    shardless = Shardless(page)
    page.goto(link)
    expect(page.locator("#fresh")).to_have_text(re.compile("^Live, "))
    pauses = []
    for _ in range(6):
        with page.expect_event("requestfailed"):
            pauses.append(seconds_until_asked(page))
    first, last = sum(pauses[:2]), sum(pauses[4:])
    assert first <= 30 and 75 <= last <= 180, pauses  # each twice the one before, up to a minute
    expect(page.locator("#fresh")).to_have_text(re.compile("^No connection, trying again. As of "))
    expect(page.locator("#news")).to_have_text("The connection is lost.")
    shardless.status = 200
    seconds_until_asked(page)
    expect(page.locator("#fresh")).to_have_text(re.compile("^Live, "))
    expect(page.locator("#news")).to_have_text("The connection is back.")


def seconds_until_asked(page: Page) -> float:
    """Let time pass for the page until it asks again; how much that was."""
    before, seconds = page.evaluate("asked"), 0.0
    while page.evaluate("asked") == before:
        page.clock.run_for(2_500)
        seconds += 2.5
    return seconds


@browsing
@pytest.mark.parametrize("status", [401, 410])
def test_it_stops_asking_when_its_link_has_ended(link: str, page: Page, status: int) -> None:
    shardless = Shardless(page)
    shardless.status = status
    page.goto(link)
    expect(page.locator("#fresh")).to_have_text(re.compile("^Live, "))
    with page.expect_response("**/embed/status*"):
        poll(page)
    expect(page.locator("#fresh")).to_have_text(re.compile("^This status link has ended. As of "))
    expect(page.locator("#news")).to_have_text("This status link has ended.")
    for _ in range(10):
        poll(page)
    assert shardless.count == 1


@browsing
def test_a_link_that_ended_while_the_connection_was_lost_is_told(link: str, page: Page) -> None:
    shardless = Shardless(page)
    page.goto(link)
    for _ in range(3):
        with page.expect_event("requestfailed"):
            seconds_until_asked(page)
    expect(page.locator("#news")).to_have_text("The connection is lost.")
    shardless.status = 410
    with page.expect_response("**/embed/status*"):
        seconds_until_asked(page)
    expect(page.locator("#news")).to_have_text("This status link has ended.")


@browsing
def test_it_does_not_ask_while_it_is_hidden(link: str, page: Page) -> None:
    page.add_init_script(
        "window.away = false; Object.defineProperty(document, 'hidden', { get: () => window.away })"
    )
    shardless = Shardless(page)
    shardless.status = 200
    page.goto(link)

    def turn(away: bool) -> None:
        page.evaluate(
            "away => { window.away = away; document.dispatchEvent(new Event('visibilitychange')) }", away
        )

    turn(away=True)
    for _ in range(20):
        poll(page)
    assert shardless.count == 0
    with page.expect_response("**/embed/status*"):
        turn(away=False)
    expect(page.locator("#fresh")).to_have_text(re.compile("^Live, "))
    with page.expect_response("**/embed/status*"):
        poll(page)
    assert shardless.count == 2
    expect(page.locator("#news")).to_have_text("")


@browsing
def test_an_answer_that_a_cache_kept_from_before_changes_nothing(link: str, page: Page) -> None:
    shardless = Shardless(page)
    shardless.status = 200
    page.goto(link)
    for age, shown in ((4_000, "0"), (3_600_000, "99")):  # of an hour ago: the shard's clock was set back
        shardless.members = {"connected": 99, "updatedAt": iso(now() - age)}
        for _ in range(2):  # it asks again only once it has taken the first
            with page.expect_response("**/embed/status*"):
                poll(page)
        expect(page.locator("#connected")).to_have_text(shown)


@browsing
def test_what_comes_and_goes_is_not_read_out(link: str, page: Page, net: str) -> None:
    shardless = Shardless(page)
    shardless.status = 200
    page.goto(link)
    for number in range(5):
        talking = {"id": 1, "name": f"Net {number}", "occupancy": number, "tx": True, "uid": "net_x"}
        shardless.members = {"connected": number, "nets": [talking]}
        with page.expect_response("**/embed/status*"):
            poll(page)
        expect(row(page, f"Net {number}")).to_be_visible()
        settled_text = page.locator("[aria-live], [role=status], [role=alert]").all_inner_texts()
        assert "".join(settled_text).strip() == ""


# -- for everyone


def crowd(shard: Server) -> list[str]:
    """Nets with names of every kind; their uids."""
    names = ["Command", "قناة الطوارئ", "🚀 Ω", "W" * 64, "a b " * 16, "<i>x</i>"]
    return [shard.net(name)["netUid"] for name in names]


@pytest.fixture(scope="module")
def manned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Operator, str]]:
    """A shard with nets of all kinds, the Public Net, and an operator on a net; sites of 127.0.0.1 may frame it."""
    env = {
        "SHARDAPI_LIMITS__DEFAULT": "1000000/minute",
        "SHARDAPI_PLUGINS__EMBED__FRAME_ANCESTORS": '["http://127.0.0.1:*"]',
    }
    server = Server(tmp_path_factory.mktemp("busy"), env).start()
    try:
        nets = crowd(server)
        server.post("/public-net", {"name": "Rally"})
        server.post("/operation", {"open": True})
        server.post("/assignments", {"userId": "1", "netUid": nets[0]})
        ann = server.operator("1")
        yield server, ann, nets[0]
        ann.close()
    finally:
        server.kill()


@pytest.fixture
def busy(manned: tuple[Server, Operator, str]) -> Server:
    """That shard while its operator talks, which nobody does for longer than a minute."""
    server, ann, net = manned
    for kind in ("ptt.stop", "ptt.start"):
        ann.send(type=kind, netUid=net)
    ann.expect("ptt.start")
    settled(server)
    return server


@browsing
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("state", ["busy", "empty", "refused"])
def test_axe_finds_nothing(shard: Server, busy: Server, page: Page, theme: str, state: str) -> None:
    server = busy if state == "busy" else shard
    link = server.get("/public-token").json()["widgetUrl"]
    page.goto(f"{link}{'x' if state == 'refused' else ''}&theme={theme}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    found = Axe().run(page)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []


@browsing
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("end", ["panel", "shine"])
def test_every_text_stands_out_from_what_is_behind_it(busy: Server, page: Page, theme: str, end: str) -> None:
    page.goto(f"{busy.get('/public-token').json()['widgetUrl']}&theme={theme}")
    # axe gives up before gradients, so each end of one stands for it, and before what CSS alone puts there.
    for rule in (
        f"header {{ background: var(--{end}) !important }}",
        "footer { background: var(--ground) !important }",
        "::before { display: none }",
    ):
        page.evaluate("rule => { document.styleSheets[0].insertRule(rule) }", rule)
    found = Axe().run(page, options={"runOnly": ["color-contrast"]})
    told = [*found.response["violations"], *found.response["incomplete"]]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in told] == []


@browsing
@pytest.mark.parametrize("width", [320, 480, 900, 1280])
def test_nothing_sticks_out_at_any_width(busy: Server, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 480})
    page.goto(busy.get("/public-token").json()["widgetUrl"])
    expect(row(page, "Command")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((one) => one.getBoundingClientRect().right > innerWidth"
        " && getComputedStyle(one).position !== 'absolute').map((one) => one.outerHTML)"
    )
    assert outside == []


@browsing
def test_the_keyboard_reaches_and_scrolls_it(busy: Server, page: Page, org: str) -> None:
    page.set_viewport_size({"width": 400, "height": 600})
    page.goto(f"{org}/?frame={busy.get('/public-token').json()['widgetUrl']}")
    frame = page.frames[1]
    expect(frame.locator("#state")).to_be_visible()
    page.keyboard.press("Tab")
    assert frame.evaluate("document.activeElement.id") == "board"
    page.keyboard.press("End")
    busy.wait(lambda: frame.evaluate("scrollY") > 0, "it to scroll")


@browsing
def test_a_screen_reader_is_told_the_same_as_the_eye(busy: Server, page: Page) -> None:
    page.goto(busy.get("/public-token").json()["widgetUrl"])
    expect(page.get_by_role("main", name="Shard")).to_be_visible()
    for level, name in ((1, "Shard"), (2, "Nets")):
        expect(page.get_by_role("heading", level=level, name=name)).to_be_visible()
    rows = page.get_by_role("list").get_by_role("listitem")
    expect(rows).to_have_count(7)
    heard = " ".join(rows.first.aria_snapshot().split())
    assert heard == "- listitem: Command talking now, 1 operator"
    heard = " ".join(rows.last.aria_snapshot().split())
    assert heard == "- listitem: Rally Public 1 operator"


@browsing
def test_nothing_moves_for_those_who_asked_for_that(busy: Server, browser: Browser) -> None:
    for motion, moves in (("reduce", False), ("no-preference", True)):
        context = browser.new_context(reduced_motion=motion)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(busy.get("/public-token").json()["widgetUrl"])
        bar = row(page, "Command").locator(".voice rect").first
        assert (bar.evaluate("one => getComputedStyle(one).animationName") != "none") == moves
        context.close()


@browsing
@pytest.mark.parametrize(
    ("theme", "system", "dark"),
    [("auto", "dark", True), ("auto", "light", False), ("dark", "light", True), ("light", "dark", False)],
)
def test_a_theme_is_the_readers_unless_the_link_says(
    link: str, browser: Browser, theme: str, system: Any, dark: bool
) -> None:
    context = browser.new_context(color_scheme=system)
    page = context.new_page()
    page.goto(f"{link}&theme={theme}")
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", colour)[:3])) < 100) == dark
    context.close()
