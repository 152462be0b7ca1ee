"""Signing in and keys in a real Chromium: with a script, without one, and with another site's page against it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from windows import end_session

from shardapi.testing import Server

pytestmark = pytest.mark.debian("chromium")

PASSWORD = "correct horse battery"
TRAP = """<!doctype html><title>Nothing to see</title>
<form id="form" method="post" action="{panel}/keys/new">
<input name="name" value="theirs"><input name="kind" value="owner"><input name="bundle" value="everything"></form>
<script>
addEventListener("load", async () => {{
  const plain = {{ "Content-Type": "text/plain" }};
  for (const path of ["/keys/new", "/sign-out", "/sessions/end", "/operator-tokens/revoke", "/api/nets"]) {{
    const body = '{{"name":"theirs"}}&whose=all&sure=yes&session=others';
    const sent = {{ method: "POST", mode: "no-cors", credentials: "include", headers: plain, body }};
    await fetch("{panel}" + path, sent).catch(() => 0);
  }}
  document.querySelector("#form").submit();
}});
</script>"""


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password."""
    server = Server(tmp_path_factory.mktemp("shard"))
    call = [sys.executable, "-m", "shardapi", "panel", "password", "--data-dir", str(server.data_dir)]
    try:
        server.start()
        subprocess.run(call, input=PASSWORD, env=server.env, text=True, check=True, capture_output=True)
        yield server
    finally:
        server.kill()


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens pages, each in a browser of its own, on which no script has failed."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def enter(page: Page, shard: Server, password: str = PASSWORD) -> Page:
    """Sign in by the password."""
    page.goto(f"{shard.url}/panel/sign-in?next=/panel/keys")
    page.fill("#password", password)
    page.click("#by-password button")
    page.wait_for_url("**/panel/keys")
    return page


def make(page: Page, name: str) -> str:
    """Make a key; returns its secret."""
    page.click("text=New key")
    page.fill("#name", name)
    page.check('input[name="bundle"][value="dashboard"]')
    page.click("text=Make the key")
    return page.inner_text("#secret")


def opens(shard: Server, secret: str) -> bool:
    """Whether a key opens the status."""
    return shard.get("/status", key=secret).status_code == 200


def found_by_axe(page: Page) -> list[tuple[str, str]]:
    """What axe has against a page."""
    found = Axe().run(page)
    return [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]


def test_a_link_is_moved_out_of_the_address_before_anything_is_sent(shard: Server, opened: Open) -> None:
    page, asked = opened(), list[str]()
    page.on("request", lambda request: asked.append(request.url + str(request.headers.get("referer"))))
    link = shard.command("panel", "link", "--name", "Ann")["url"]
    token = link.partition("#")[2]
    page.goto(link)
    expect(page.get_by_text("It works once.")).to_be_visible()
    expect(page).to_have_url(f"{shard.url}/panel/sign-in")
    page.keyboard.press("Enter")  # the button has the focus
    page.wait_for_url(lambda url: "sign-in" not in url)
    page.go_back()
    assert token not in page.url and [one for one in asked if token in one] == []
    assert [line for line in shard.log if token in line] == []


def test_a_link_is_taken_by_a_page_to_sign_in_at_that_is_open_already(shard: Server, opened: Open) -> None:
    page = opened()
    page.goto(f"{shard.url}/panel/sign-in")
    page.goto(shard.command("panel", "link")["url"])
    expect(page.get_by_text("It works once.")).to_be_visible()
    expect(page).to_have_url(f"{shard.url}/panel/sign-in")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)


def test_everything_about_keys_works_without_a_script(shard: Server, opened: Open) -> None:
    page = opened(java_script_enabled=False)
    link = shard.command("panel", "link")["url"]
    page.goto(link)
    page.fill("#token", link)
    page.click("#by-link button")
    page.wait_for_url(lambda url: "sign-in" not in url)
    for path, said in (("rules", 1), ("acars", 1), ("board", 1), ("health", 0), ("keys", 0)):
        page.goto(f"{shard.url}/panel/{path}")
        expect(page.locator("noscript > .notice")).to_have_count(said)
    page.click("text=New key")
    page.click("text=Make the key")  # empty: it says what is wrong
    expect(page.locator("#name-wrong")).to_be_visible()
    page.goto(f"{shard.url}/panel/keys")
    secret = make(page, "Without")
    assert opens(shard, secret)
    assert f'Bearer {secret}"' in page.inner_text("#line")
    page.reload()
    expect(page.locator("#secret")).to_have_count(0)
    page.click("text=Revoke")
    page.click("text=Revoke the key")
    expect(page.get_by_text("is revoked")).to_be_visible()
    assert not opens(shard, secret)
    page.click("text=Operator tokens")
    page.fill("#user_id", "7")
    page.fill("form >> nth=1 >> #name", "Bea")
    page.click("text=Make the token")
    assert page.inner_text("#token").count(".") == 2 or "." in page.inner_text("#token")
    page.click("text=Sessions")
    expect(page.get_by_text("this one")).to_be_visible()
    page.click("text=Sign out")
    expect(page.get_by_text("You are signed out.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_comes_only_after_a_form_is_made_for_everyone(shard: Server, opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    page.goto(f"{shard.url}/panel/sign-in")
    page.fill("#password", "wrong")
    page.click("#by-password button")
    expect(page.get_by_role("alert").first).to_be_visible()
    assert found_by_axe(page) == []
    enter(page, shard)
    make(page, f"For {scheme}")
    assert found_by_axe(page) == []
    page.goto(f"{shard.url}/panel/keys/new")
    page.click("text=Make the key")
    expect(page.locator("#name-wrong")).to_be_visible()
    assert found_by_axe(page) == []


def test_a_bundle_shows_what_it_holds_and_the_secret_is_copied(shard: Server, opened: Open) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    enter(page, shard)
    page.click("text=New key")
    page.check('input[name="bundle"][value="dashboard"]')
    ticked = page.locator('input[name="scopes"]:checked')
    expect(ticked).to_have_count(5)
    page.uncheck('input[value="read:metrics"]')
    assert page.is_checked('input[name="bundle"][value="single"]')
    page.fill("#name", "Copied")
    page.click("text=Make the key")
    page.click('button[data-copy="#secret"]')
    expect(page.get_by_text("Copied.")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert secret == page.inner_text("#secret") and opens(shard, secret)
    assert shard.get("/metrics", key=secret).status_code == 403


def test_a_session_that_ends_mid_edit_loses_nothing_typed(shard: Server, opened: Open) -> None:
    page = enter(opened(), shard)
    page.click("text=New key")
    page.fill("#name", "Half <typed>")
    page.check('input[value="read:audit"]')
    end_session(page.context, shard)
    page.click("text=Make the key")
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    page.fill("#password", PASSWORD)
    page.click("#by-password button")
    expect(page.get_by_text("Half <typed>")).to_be_visible()
    page.click("text=Go on >> nth=-1")
    assert opens_audit(shard, page.inner_text("#secret"))


def opens_audit(shard: Server, secret: str) -> bool:
    """Whether a key opens the audit."""
    return shard.get("/audit", key=secret).status_code == 200


def test_a_script_whose_session_has_ended_asks_and_goes_on(shard: Server, opened: Open) -> None:
    page = enter(opened(), shard)
    end_session(page.context, shard)
    call = 'import("/panel/static/panel.js").then(({ api }) => api("POST", "/nets", { name: "After" }))'
    page.evaluate(f"window.made = {call}; undefined")
    page.fill("dialog input", "wrong")
    page.click('dialog button:has-text("Sign in")')
    expect(page.locator("dialog [role=alert]")).to_contain_text("not the password")
    page.fill("dialog input", PASSWORD)
    page.click('dialog button:has-text("Sign in")')
    assert page.evaluate("window.made")["name"] == "After"


def test_a_page_goes_on_after_signing_in_again_in_another_tab(shard: Server, opened: Open) -> None:
    page = enter(opened(), shard)
    uid = shard.net("Strike")["netUid"]
    page.goto(f"{shard.url}/panel/rules")
    page.click("text=Add a rule")
    page.fill('input[aria-label="Role id"]', "42")
    page.select_option("#rows select", uid)
    other = enter(page.context.new_page(), shard)  # its session takes the place of the first
    other.close()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#state")).to_have_text("Saved")
    assert shard.get("/rules").json()["rules"][0]["roleId"] == "42"


class Trap(BaseHTTPRequestHandler):
    """A page that tries to change things at the panel."""

    def __init__(self, *args: object, panel: str) -> None:
        self.panel = panel
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer the page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(TRAP.format(panel=self.panel).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # the same site on another port; another site
def test_a_page_of_another_origin_changes_nothing(shard: Server, opened: Open, host: str) -> None:
    page = enter(opened(), shard)
    before = shard.get("/status").json()["version"], len(shard.command("keys", "list"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Trap, panel=f"{shard.url}/panel")) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            page.goto(f"http://{host}:{server.server_port}/")
            page.wait_for_url(f"{shard.url}/panel/keys/new")
            expect(page.get_by_text("does not come from a page of this panel")).to_be_visible()
        finally:
            server.shutdown()
            thread.join()
    assert before == (shard.get("/status").json()["version"], len(shard.command("keys", "list")))
    page.goto(f"{shard.url}/panel/keys")
    assert urlsplit(page.url).path == "/panel/keys"  # still signed in
    expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()


def test_no_page_is_framed(shard: Server) -> None:
    answer = requests.get(f"{shard.url}/panel/sign-in", timeout=10)
    assert re.search(r"frame-ancestors 'none'", answer.headers["Content-Security-Policy"])
