"""Every page of the panel in a real Chromium: hostile names and texts, axe, the keyboard, and what a page weighs."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from gateways import GUILD, served, token
from payloads import texts
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect
from windows import end_session, leave, signed_in, window

from shardapi import ShardApp
from shardapi.testing import Operator, Server

browsing = pytest.mark.debian("chromium")
UNLIMITED = "1000000/minute"
GUILD_NAME = "</title><svg onload=p(1)>\"' onfocus=p(2) autofocus {{7*7}}"
HEAVIEST = 150 * 1024
AT_ONCE = 46  # nets, and there are three more
# Where each view is; <…> are those of something that `made` made.
PAGES = {
    "panel.sign_in": "sign-in",
    "panel.board": "board",
    "panel.presets": "presets",
    "panel.rules": "rules",
    "panel.acars": "acars",
    "panel.archive": "archive",
    "panel.features": "features",
    "panel.health": "health",
    "panel.webhooks": "webhooks",
    "panel.webhook": "webhooks/<webhook>",
    "panel.audit": "audit",
    "panel.plugins": "plugins",
    "panel.settings": "settings",
    "panel.public_token": "public-token",
    "panel.keys": "keys",
    "panel.new_key": "keys/new",
    "panel.made_key": "keys/<key>",
    "panel.ask_revoke_key": "keys/<key>/revoke",
    "panel.operator_tokens": "operator-tokens",
    "panel.made_token": "operator-tokens/nothing",
    "panel.sessions": "sessions",
    "panel.nothing": "nothing",
}
NO_PAGES = {
    *("panel.home", "panel.static", "panel.stream", "panel.session", "panel.relay", "panel.board_state"),
    "panel.of_plugin",  # what a plugin's template makes of it
}
# Controls that stick out of the table or the page they are in, and fields too narrow to type into.
CONTROLS = "main :is(a, button, input, select, textarea), dialog .badge"
TYPED = "[type=text], [type=search], input:not([type])"
CRAMPED = f"""[...document.querySelectorAll("{CONTROLS}")].filter((one) => {{
  const {{ width, right }} = one.getBoundingClientRect();
  const edge = one.closest(".table-wrap")?.getBoundingClientRect().right ?? innerWidth;
  return width && (right > edge + 1 || (one.matches("{TYPED}") && width < 110));
}}).map((one) => one.outerHTML)"""
DETECTOR = Path(__file__).with_name("browser") / "detector.js"
numbers = count(1)


# -- the shard, the browser, who is signed in


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard with a hostile name, at which nothing is too often."""
    settings = {"GUILD__NAME": GUILD_NAME, "LIMITS__ACARS": UNLIMITED, "PLUGINS__PANEL__LIMIT": UNLIMITED}
    with served(tmp_path_factory.mktemp("shard"), **settings) as server:
        server.post("/operation", {"open": True})
        yield server


@pytest.fixture(scope="module")
def context(browser: Browser, shard: Server) -> Iterator[BrowserContext]:
    """A browser that is signed in, by a name and with a user agent that are hostile too."""
    who, agent = "<img src=x onerror=p(1)>", "<svg onload=p(1)>\"' onfocus=p(2) x"
    context = browser.new_context(viewport={"width": 1280, "height": 800}, user_agent=agent)
    context.add_init_script(path=DETECTOR)
    page = context.new_page()
    link = shard.command("panel", "link", "--name", who)["url"]
    page.goto(f"{shard.url}/panel/sign-in#{link.partition('#')[2]}")
    page.get_by_role("button").first.click()
    page.wait_for_url(lambda url: "sign-in" not in url)
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing has failed and nobody was asked anything."""
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    leave(page)
    page.close()
    assert wrong == []


@pytest.fixture(scope="module")
def made(shard: Server) -> dict[str, str]:
    """The ids of a key and of a webhook, and of each thing one."""
    shard.net("Strike")
    shard.post("/presets", {"name": "Friday", "nets": [{"name": "Strike"}]})
    shard.post("/archive", {"name": "Old", "notes": "Notes", "tags": ["tag"]})
    shard.post("/rules", {"rules": [{"roleId": "1", "netUids": [shard.net("Recon")["netUid"]]}]})
    hook = shard.post("/webhooks", {"url": "https://example.com/hook"}).json()["webhook"]["id"]
    key = shard.command("keys", "create", "Bot", "--scope", "read:status")["id"]
    return {"webhook": hook, "key": key}


def address(shard: Server, made: dict[str, str], path: str) -> str:
    """The URL of a page."""
    return f"{shard.url}/panel/" + re.sub(r"<(\w+)>", lambda match: made[match[1]], path)


def opened(page: Page, url: str) -> Page:
    """A page as it is when its scripts have run; the board when it is live."""
    page.goto(url)
    if "/panel/board" in url:
        expect(page.locator("#board")).to_have_class(re.compile(r"\blinked\b"))
    return page


def test_every_page_of_the_panel_is_looked_at(app: ShardApp) -> None:
    views = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("panel.") and "GET" in (rule.methods or ())
    }
    assert views == PAGES.keys() | NO_PAGES


# -- hostile names and texts


class Everywhere:
    """Puts texts into every field there is; what may not be there is refused, and that is good too."""

    def __init__(self, shard: Server, context: BrowserContext) -> None:
        self.shard, self.request = shard, context.request
        self.board, self.preset_names = list[str](), list[str]()
        self._operators, self._session = ExitStack(), requests.Session()
        self._again = {"headers": {"Origin": shard.url, "Accept": "text/html"}, "max_redirects": 0}

    def put(self, some: list[str]) -> None:
        """All of them, in all places of the API and of the forms."""
        self.clear()
        for text in some:
            self._through_the_api(text)
        for text in some[::2]:
            self._as_operator(text)

    def _through_the_api(self, text: str) -> None:
        reason = {"X-Audit-Log-Reason": text.encode().decode("latin-1")}
        made = self._call("/nets", {"name": text}, headers=reason)
        assert made.status_code == 200, made.text
        uid = made.json()["netUid"]
        self.board.append(uid)
        preset = {"name": text, "nets": [{"name": text, "netUid": uid}], text[:20]: text}
        if self._call("/presets", preset).status_code == 200:
            self.preset_names.append(text)
        kept = {"name": text, "notes": f"{text}\n{text}", "tags": [text[:24]], "assignedUserIds": ["1"]}
        assert self._call("/archive", kept).status_code == 200
        assert self._call("/acars", {"text": text, "senderName": text}).status_code == 200
        assert self._call("/public-net", {"name": text}).status_code == 200
        self._call("/rules", {"rules": [{"roleId": text, "netUids": [uid]}]})
        self._call("/webhooks", {"url": f"https://example.com/{text}"})
        self._call("/webhooks", {"url": text, "events": [text[:20]]})
        self._call("/clients/disconnect", {"userId": text, "reason": text})

    def _call(self, path: str, body: Any, **options: Any) -> requests.Response:
        return self.shard.post(path, body, session=self._session, **options)

    def _as_operator(self, text: str) -> None:
        user = f"h{next(numbers)}"
        one = Operator(self.shard.url, token(user, text, [text]), GUILD)
        self._operators.callback(one.close)
        one.join()
        uid = self.board[len(self.board) // 2]
        self.shard.post("/assignments", {"userId": user, "netUid": uid})
        one.expect("config")
        one.send(type="ptt.start", netUid=uid)

    def forms(self, text: str) -> list[str]:
        """What the panel's own forms answer to a text in each of their fields, as HTML."""
        csrf = self._csrf()
        answers = []
        for path, fields in (
            ("webhooks", ("url", "events", "event", "secret", "_form")),
            ("keys/new", ("name", "kind", "bundle", "scopes", "days", "_form")),
            ("operator-tokens", ("user_id", "name", "roles", "days", "_form")),
            ("operator-tokens/revoke", ("user_id", "whose")),
            ("sessions/end", ("session",)),
            ("sign-in", ("token", "next", "kept")),
        ):
            given = {**dict.fromkeys(fields, text), "csrf_token": csrf}
            answers.append(self._post(path, given))
        kept = json.dumps([[text, text], ["name", text]])
        answers.append(self._post("sign-in", {"password": text, "next": f"/panel/{text}", "kept": kept}))
        named = {"name": text, "kind": "owner", "bundle": "single", "scopes": "read:status", "_form": text}
        answers.append(self._post("keys/new", {**named, "csrf_token": csrf}))
        return answers

    def answer(self, path: str, **given: str) -> str:
        """What a form answers."""
        return self._post(path, {**given, "csrf_token": self._csrf()})

    def made(self, path: str, **given: str) -> str:
        """The address of the page that shows what a form has made; it wants who has just signed in."""
        for _ in range(2):
            fields = {**given, "csrf_token": self._csrf()}
            answer = self.request.post(f"{self.shard.url}/panel/{path}", form=fields, **self._again)
            if answer.status == 303:
                return self.shard.url + answer.headers["location"]
            token = self.shard.command("panel", "link")["url"].partition("#")[2]
            self._post("sign-in", {"token": token})
        raise AssertionError(answer.text())

    def _post(self, path: str, given: dict[str, str]) -> str:
        answer = self.request.post(f"{self.shard.url}/panel/{path}", form=given, **self._again)
        assert answer.status < 500, answer.text()
        return answer.text() if "text/html" in answer.headers.get("content-type", "") else ""

    def _csrf(self) -> str:
        page = self.request.get(f"{self.shard.url}/panel/sessions").text()
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found
        return found[1]

    def clear(self) -> None:
        """Make room for the next ones; what is archived and logged stays."""
        self._operators.close()
        for uid in self.board:
            self.shard.delete(f"/nets/{uid}")
        for name in self.preset_names:
            self.shard.delete(f"/presets/{quote(name, safe='')}")
        for hook in self.shard.get("/webhooks").json()["webhooks"]:
            self.shard.delete(f"/webhooks/{hook['id']}")
        self.board, self.preset_names = [], []


@pytest.fixture
def everywhere(shard: Server, context: BrowserContext) -> Iterator[Everywhere]:
    """Texts in every field, gone afterwards."""
    found = Everywhere(shard, context)
    yield found
    found.clear()


def harm(page: Page) -> list[Any]:
    """What has run, was about to, or is on the page though it is none of ours."""
    found: list[Any] = page.evaluate("[...hits, ...strangers()]")
    return [(page.url, one) for one in found]


def shown(page: Page, selector: str) -> set[str]:
    """The texts of elements."""
    return set(page.locator(selector).evaluate_all("all => all.map(one => one.textContent)"))


@browsing
def test_no_text_is_ever_markup(
    shard: Server,
    page: Page,
    everywhere: Everywhere,
    size: str,
    figure: Callable[[str, float, str], None],
) -> None:
    found, looked, wanted = list[Any](), 0, texts(2000 if size == "soak" else 2 * AT_ONCE)
    some_of, few_of = (4, 8) if size == "soak" else (16, AT_ONCE)
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        found += _live(opened(page, f"{shard.url}/panel/board"), shard, everywhere, some)
        hook = shard.get("/webhooks").json()["webhooks"][0]["id"]
        made = {"webhook": hook, "key": "key_" + quote(some[0], safe="")}
        for path in PAGES.values():
            found += harm(opened(page, address(shard, made, path)))
        found += _elsewhere(page, shard, everywhere, some, wanted)
        for text in some[::some_of]:
            found += _asked(page, shard, text)
        for text in some[::few_of]:
            for html in everywhere.forms(text):
                found += _as_page(page, shard, html)
        looked += len(some)
        assert found[:3] == []
    assert looked == len(wanted)
    figure("panel-hostile-harm", len(found), "== 0")


def _live(board: Page, shard: Server, everywhere: Everywhere, some: list[str]) -> list[Any]:
    """The board while all of it comes, and its dialogs."""
    everywhere.put(some)
    shard.wait(lambda: shown(board, "#nets > li > span") >= set(some), "every net to be shown")
    shard.wait(lambda: shown(board, "#people > li > b") >= set(some[::2]), "everyone to be shown")
    return harm(board) + _by_hand(board, some)


def _elsewhere(
    page: Page, shard: Server, everywhere: Everywhere, some: list[str], wanted: list[str]
) -> list[Any]:
    """The pages with them as texts, and what opens there."""
    presets = opened(page, f"{shard.url}/panel/presets")
    assert shown(presets, "#presets th > span") >= set(everywhere.preset_names)
    presets.locator("#presets [data-do=preview]").first.click()
    expect(presets.get_by_role("dialog")).to_be_visible()
    found = harm(presets)
    archive = opened(page, f"{shard.url}/panel/archive")
    entries = shown(archive, "#entries [data-name]")
    assert entries & set(some) and entries <= set(wanted)  # those of before are there too
    archive.locator("[data-do=edit]").first.click()
    expect(archive.get_by_role("dialog")).to_be_visible()
    found += harm(archive)
    audit = opened(page, f"{shard.url}/panel/audit?path=/api/v1/nets&status=200")
    assert shown(audit, "td[data-label=Reason]") >= set(some)
    return found + harm(audit) + _made(page, everywhere, some[0])


def _made(page: Page, everywhere: Everywhere, name: str) -> list[Any]:
    """A key and an operator's token of such a name, as they are shown once, and what asks before a key is revoked."""
    key = everywhere.made("keys/new", name=name, kind="owner", bundle="single", scopes="read:status")
    token = everywhere.made("operator-tokens", user_id="7", name=name, roles="", days="1")
    found = []
    for url in (key, f"{key}/revoke", token, key.rpartition("/")[0]):
        assert name in (opened(page, url).locator("main").text_content() or ""), url
        found += harm(page)
    return found


def _by_hand(board: Page, some: list[str]) -> list[Any]:
    """The board's dialogs about a net with such a name."""
    row = board.locator("#nets > li", has=board.locator("span", has_text=some[0])).first
    row.click()
    found = []
    for name in ("Rename…", "Archive…"):
        board.get_by_role("button", name=name, exact=True).click()
        expect(board.get_by_role("dialog")).to_be_visible()
        found += harm(board)
        board.keyboard.press("Escape")
        expect(board.get_by_role("dialog")).to_have_count(0)
    return found


def _asked(page: Page, shard: Server, text: str) -> list[Any]:
    """Pages that say again what is in their address."""
    found = []
    for path in (
        f"archive?{urlencode({'q': text, 'tag': text})}",
        f"audit?{urlencode(dict.fromkeys(('keyId', 'status', 'path', 'since', 'until', 'before'), text))}",
        f"public-token?{urlencode({'theme': text})}",
        f"sign-in?{urlencode({'next': f'/panel/{text}', 'why': text})}",
        f"plugins/{quote(text, safe='')}/{quote(text, safe='')}",
        f"{quote(text)}?{quote(text)}#{quote(text)}",
    ):
        page.goto(f"{shard.url}/panel/{path}")
        found += harm(page)
    return found


def _as_page(page: Page, shard: Server, html: str) -> list[Any]:
    """A page that was the answer to a form."""
    if not html:
        return []
    url = f"{shard.url}/panel/answer"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
    )
    page.route(
        url,
        lambda route: route.fulfill(
            body=html, content_type="text/html", headers={"Content-Security-Policy": policy}
        ),
    )
    page.goto(url)
    page.unroute(url)
    return harm(page)


@browsing
@pytest.mark.parametrize(
    ("html", "what"),
    [
        ("<img src=x onerror=p(1)>", "policy"),
        ("<b onclick=p(1)>x</b>", "<b onclick"),
        ("<script>p(1)</script>", "policy"),
        ("<base href=//x.example>", "<base"),
        ("<a href=javascript:p(1)>x</a>", "<a href"),
        ("<template><script>p(1)</script></template>", "<script>"),
    ],
)
def test_the_detector_would_tell(shard: Server, page: Page, html: str, what: str) -> None:
    assert what in repr(_as_page(page, shard, f"<!doctype html><title>x</title>{html}"))


# -- what scripts do on the pages of health


@browsing
def test_health_renews_itself_unless_somebody_is_reading_in_it(shard: Server, page: Page) -> None:
    shard.wait(lambda: not shard.get("/roster").json()["operators"], "those of other tests to leave")
    page.clock.install()
    page.goto(f"{shard.url}/panel/health")
    connected = page.locator(".figures div", has_text="Connected").locator("dd")
    expect(connected).to_have_text("0")
    one = Operator(shard.url, token(f"h{next(numbers)}", "Ann"), GUILD).join()
    with page.expect_response("**/panel/health"):
        page.clock.run_for(15_000)
    expect(connected).to_have_text("1")
    page.get_by_text("As a table").first.click()
    one.close()
    page.clock.run_for(60_000)
    expect(page.locator("#live details[open]")).to_have_count(1)
    expect(connected).to_have_text("1")


@browsing
def test_health_asks_to_sign_in_once_its_session_has_ended(shard: Server, browser: Browser) -> None:
    with signed_in(browser, shard) as own, window(own) as page:
        page.clock.install()
        page.goto(f"{shard.url}/panel/health")
        made = page.locator(".page-head time")
        before = made.get_attribute("datetime")
        assert before
        end_session(own, shard)
        page.clock.run_for(15_000)
        again = page.get_by_role("dialog")
        again.get_by_label("Password").fill(shard.command("panel", "link")["url"])
        again.get_by_role("button", name="Sign in").click()
        expect(made).not_to_have_attribute("datetime", before)
        end_session(own, shard)
        page.clock.run_for(15_000)
        expect(again).to_be_visible()
        page.keyboard.press("Escape")
        expect(again).to_have_count(0)
        page.clock.run_for(60_000)
        expect(again).to_have_count(0)


@browsing
def test_a_time_as_it_is_shown_is_found_by_the_filters(shard: Server, browser: Browser) -> None:
    zone = {"timezone_id": "America/Bogota", "locale": "en-US"}
    with signed_in(browser, shard, **zone) as own, window(own) as page:
        shard.get("/archive/net_clock")
        rows, shown = page.locator(".audit tbody tr"), page.locator(".audit time")
        shard.wait(
            lambda: opened(page, f"{shard.url}/panel/audit?path=net_clock") and rows.count() == 1, "it"
        )
        at = datetime.fromisoformat(shown.get_attribute("datetime") or "")
        here = at.replace(microsecond=0, tzinfo=None) + timedelta(hours=-5)
        expect(shown).to_contain_text(f"{here:%H:%M:%S}")
        for label, seconds, found in (("From", 0, 1), ("Until", 1, 1), ("From", 1, 0)):
            typed = (here + timedelta(seconds=seconds)).isoformat().removesuffix(":00")
            field = page.get_by_label(f"{label} (America/Bogota)")
            field.fill(typed)
            page.get_by_role("button", name="Filter").click()
            expect(rows).to_have_count(found)
            expect(field).to_have_value(typed)
        opened(page, f"{shard.url}/panel/health")
        expect(page.locator(".page-head time")).to_have_text(re.compile(r"^[\d: -]+GMT-5$"))


@browsing
def test_a_replay_asks_after_what_only_where_it_is_needed(
    shard: Server, page: Page, made: dict[str, str]
) -> None:
    page.goto(address(shard, made, PAGES["panel.webhook"]))
    expect(page.get_by_label("Event id or time")).to_be_hidden()
    page.get_by_label("Send again").select_option("id")
    expect(page.get_by_label("Event id or time")).to_be_visible()


@browsing
def test_deleting_a_webhook_asks_first(shard: Server, page: Page) -> None:
    hook = shard.post("/webhooks", {"url": "https://example.com/second"}).json()["webhook"]["id"]
    page.goto(f"{shard.url}/panel/webhooks/{hook}")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete this webhook?")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The webhook is deleted.")).to_be_visible()
    assert hook not in shard.get("/webhooks").text


# -- for everyone


@browsing
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_everyone_can_use_it(
    shard: Server, page: Page, made: dict[str, str], path: str, figure: Callable[[str, float, str], None]
) -> None:
    if path == "health":  # it would renew itself while it is looked at
        page.add_init_script("window.setInterval = () => 0")
    figure("panel-page-bytes", _weight(page, shard, address(shard, made, path)), f"<= {HEAVIEST}")
    if path == "audit":
        opened(
            page, address(shard, made, "audit?path=/rules&status=200")
        )  # a few rows are as good as a hundred
    assert _beside_the_screen(page) == {}
    assert _found_by_axe(page) == []
    reached, stops = _reached_by_keyboard(page)
    assert reached == list(range(stops))


def _weight(page: Page, shard: Server, url: str) -> int:
    """Open a page; the bytes of all that it needs, none of which is from elsewhere."""
    loaded: list[Response] = []
    page.on("response", lambda answer: loaded.append(answer))
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    opened(page, url)
    assert {urlsplit(one.url).netloc for one in loaded} == {urlsplit(shard.url).netloc}
    own = [one for one in loaded if not re.search(r"/panel/stream|/embed/", one.url)]
    assert len(own) >= 3
    return sum(len(one.body()) for one in own)


def _beside_the_screen(page: Page) -> dict[int, Any]:
    """The widths at which something sticks out, or cannot be used; how wide it is, and which."""
    found = {}
    for width in (360, 660, 700, 900, 2560, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        wide, cramped = page.evaluate(f"[document.documentElement.scrollWidth, {CRAMPED}]")
        if wide > width or cramped:
            found[width] = (wide, cramped)
    return found


@browsing
def test_long_names_stay_on_the_screen(shard: Server, page: Page, everywhere: Everywhere) -> None:
    name = "W" * 64
    shard.post("/presets", {"name": name, "nets": [{"name": name}]})
    everywhere.preset_names.append(name)
    key = everywhere.made("keys/new", name=name, kind="owner", bundle="single", scopes="read:status")
    token = everywhere.made("operator-tokens", user_id=name, name=name, roles="", days="1")
    for url in (key, f"{key}/revoke", token, f"{shard.url}/panel/keys"):
        opened(page, url)
        expect(page.locator("main")).to_contain_text(name)
        assert _beside_the_screen(page) == {}, url
    asked = everywhere.answer("operator-tokens/revoke", user_id=name)
    assert name in asked and _as_page(page, shard, asked) == [] and _beside_the_screen(page) == {}
    opened(page, f"{shard.url}/panel/presets").locator("#presets [data-do=preview]").last.click()
    expect(page.get_by_role("dialog")).to_contain_text("1 step will change something")
    assert _beside_the_screen(page) == {}


@browsing
def test_a_long_reason_in_the_audit_leaves_room_for_who_asked(shard: Server, page: Page) -> None:
    shard.post("/nets", {"name": "Long"}, headers={"X-Audit-Log-Reason": "Z" * 300})
    opened(page, f"{shard.url}/panel/audit?path=/nets")
    box = page.locator("tr", has_text="ZZZ").locator(".who-asked").bounding_box()
    assert box and box["width"] >= 100


def _found_by_axe(page: Page) -> list[Any]:
    found = []
    for theme, options in (("dark", None), ("light", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for one in Axe().run(page, options=options).response["violations"]:
            found.append((theme, one["id"], [node["html"] for node in one["nodes"]]))
    return found


def _reached_by_keyboard(page: Page) -> tuple[list[int], int]:
    """The stops of the Tab key as they come, and how many there are; the focus can be seen at each."""
    stops, reached = page.evaluate("count()"), list[int]()
    for _ in range(stops + 16):  # a frame and a date have stops of their own
        page.keyboard.press("Tab")
        place, seen, html = page.evaluate("stop()")
        if place < 0:
            break
        assert seen, f"the focus cannot be seen on {html}"
        if place not in reached[-1:]:
            reached.append(place)
    return reached, stops
