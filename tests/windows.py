"""What tests of the panel in Chromium share: a browser that is signed in, pages on which no script of others runs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from shardapi.testing import Server

PWNED = "pwned"
HOSTILE = f"<img src=x onerror=\"document.title='{PWNED}'\">"


@contextmanager
def signed_in(browser: Browser, shard: Server, **options: Any) -> Iterator[BrowserContext]:
    """A browser of its own that is signed in to the shard's panel."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    page = context.new_page()
    page.goto(f"{shard.url}/panel/sign-in#{shard.command('panel', 'link')['url'].partition('#')[2]}")
    page.get_by_role("button").first.click()
    page.wait_for_url(lambda url: "sign-in" not in url)
    page.close()
    yield context
    context.close()


@contextmanager
def window(context: BrowserContext) -> Iterator[Page]:
    """A page on which no script fails, and none of a stranger's runs."""
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    expect(page).not_to_have_title(PWNED)
    leave(page)
    page.close()
    assert errors == []


def leave(page: Page) -> None:
    """Show an empty page: one that is closed while it loads itself anew may never be heard of again."""
    while True:
        try:
            page.goto("about:blank")
            return
        except Error as error:
            if "interrupted by another navigation" not in str(error):
                raise


def end_session(context: BrowserContext, shard: Server) -> None:
    """End the session of a browser from outside it, and wait until it has ended."""
    listed = context.request.get(f"{shard.url}/panel/sessions").text()
    found = re.search(r'this one.*?name="session" value="([^"]+)"', listed, re.DOTALL)
    assert found, listed
    shard.command("panel", "sessions", "--end", found[1])
    shard.wait(lambda: context.request.get(f"{shard.url}/panel/session").status == 401, "the session to end")
