"""How soon the board is painted and shows a join, and what each page of the panel weighs, in Chromium."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Server, Verdict, at_most, report, shardapi
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from shardapi import config
from shardapi.app import create_app
from shardapi.central import mint_uid
from shardapi.commands import Assign, CreateNet, SetOperation
from shardapi.simulation.rehearsal import Rehearsal
from shardapi.simulation.script import Actor, Step
from shardapi.simulation.simulator import Access, mint
from shardapi.testing import Operator

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PAINT_MS, JOIN_MS, PAGE_KB = 300, 300, 150
SHOWN = """id => new Promise(done => {
  const look = () => document.querySelector(`#people [data-u="${id}"]`);
  const seen = () => requestAnimationFrame(() => done(performance.timeOrigin + performance.now()));
  if (look()) return seen();
  const watch = new MutationObserver(() => { if (look()) { watch.disconnect(); seen(); } });
  watch.observe(document.querySelector("#people"), { childList: true });
  window.watching = true;
})"""


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=50)
    parser.add_argument("--operators", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", action="store_true", help="say where it runs, and wait for a line of input")
    return parser.parse_args()


def furnish(data: Path, nets: int, operators: int, spare: int) -> dict[str, str]:
    """Make the nets, everyone on one or two of them, and a token for each of them and of some that are not there."""
    app = create_app(config.load(environ={"SHARDAPI_GUILD__NAME": "Bench"}, data_dir=str(data)))
    try:
        uids = [mint_uid() for _ in range(nets)]
        made = [CreateNet(uid=uid, name=f"Squadron {place + 1}") for place, uid in enumerate(uids)]
        app.shard.central.submit([*made, SetOperation(open=True)])
        users = [str(900_000_000_000_000_000 + place) for place in range(operators)]
        app.shard.central.submit(
            [
                Assign(uid=uids[(place * step) % nets], user_id=user)
                for place, user in enumerate(users)
                for step in (1, 7)
            ]
        )
        names = {user: Actor(f"Anvil {place + 1}") for place, user in enumerate(users)}
        names |= {f"late-{place}": Actor(f"Zulu {place + 1}") for place in range(spare)}
        return mint(app.shard, names)
    finally:
        app.shard.close()


@contextmanager
def on_the_air(server: Server, tokens: dict[str, str]) -> Iterator[None]:
    """Everyone is connected in the block."""
    users = [user for user in tokens if user.isdecimal()]
    steps = [Step(at=0, do="join", user=user) for user in users]
    with Rehearsal(server.url, Access({user: tokens[user] for user in users}), steps) as rehearsal:
        rehearsal.wait(120)
        yield


def link(server: Server, data: Path) -> str:
    """A way into the panel, once."""
    said = subprocess.run(
        shardapi("panel", "link", "--json", data=data), capture_output=True, check=True
    ).stdout
    return f"{server.url}/panel/sign-in#{json.loads(said)['url'].partition('#')[2]}"


def signed_in(browser: Browser, address: str) -> BrowserContext:
    """A browser of its own that is signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button").first.click()
    page.wait_for_url(lambda url: "sign-in" not in url)
    page.close()
    return context


def first_paint(context: BrowserContext, url: str) -> float:
    """Milliseconds from the navigation to the first content of the board."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".linked")
    ms: float = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.close()
    return ms


def join_shows(page: Page, server: Server, user: str, token: str, guild: str) -> float:
    """Milliseconds from the join that an operator sends to its row on the open board."""
    one = Operator(server.url, token, guild)
    one.expect("hello")
    page.evaluate(f"window.watching = false; window.shown = ({SHOWN})({json.dumps(user)}); 0")
    sent = time.time() * 1000
    one.send(type="join", guildId=guild, mode="voice")
    shown: float = page.evaluate("window.shown")
    one.close()
    return shown - sent


def weight(context: BrowserContext, url: str) -> float:
    """Kilobytes of bodies that a fresh browser loads for a page."""
    fresh = context.browser.new_context(storage_state=context.storage_state())  # type: ignore[union-attr]
    page, sizes = fresh.new_page(), []
    page.on("response", lambda answer: sizes.append(answer) if "/stream" not in answer.url else None)
    page.goto(url)
    page.wait_for_load_state("load")
    page.wait_for_timeout(500)
    total = sum(len(answer.body()) for answer in sizes if answer.status == 200)
    fresh.close()
    return total / 1000


def pages(context: BrowserContext, url: str) -> list[str]:
    """The address of every page in the navigation."""
    page = context.new_page()
    page.goto(url)
    found: list[str] = page.eval_on_selector_all("nav a", "all => all.map(one => one.href)")
    page.close()
    return found


def measure(server: Server, data: Path, tokens: dict[str, str], options: argparse.Namespace) -> list[Verdict]:
    """All of it in one browser."""
    guild = json.loads(server.get("/api/v1/status"))["guildId"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = signed_in(browser, link(server, data))
        board = f"{server.url}/panel/board"
        if options.keep:
            input(f"# {link(server, data)}\n")
        paints = [first_paint(context, board) for _ in range(options.rounds)]
        page = context.new_page()
        page.goto(board)
        page.wait_for_selector(".linked")
        late = [user for user in tokens if not user.isdecimal()]
        joins = [join_shows(page, server, user, tokens[user], guild) for user in late]
        page.close()
        print(f"# first paint, ms: {describe(paints)}; a join shows, ms: {describe(joins)}")
        verdicts = [
            at_most("panel/first-paint-ms", statistics.median(paints), PAINT_MS),
            at_most("panel/join-shows-ms", statistics.median(joins), JOIN_MS),
        ]
        for url in pages(context, board):
            verdicts.append(at_most(f"panel{url.partition('/panel')[2]}-kb", weight(context, url), PAGE_KB))
        browser.close()
        return verdicts


def describe(values: list[float]) -> str:
    """The median and the extremes."""
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def main() -> int:
    """Start a full shard, look at it, judge."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="shardapi-panel-") as name:
        data = Path(name) / "data"
        tokens = furnish(data, options.nets, options.operators, options.rounds)
        key = subprocess.run(
            shardapi("keys", "create", "bench", "--all-scopes", "--json", data=data),
            capture_output=True,
            check=True,
        ).stdout
        server = Server(
            "shardapi",
            shardapi("serve", "--bind", "127.0.0.1:0", data=data),
            Path(name) / "shardapi.log",
            headers={"Authorization": f"Bearer {json.loads(key)['secret']}"},
        )
        with server, on_the_air(server, tokens):
            return report(measure(server, data, tokens, options))


if __name__ == "__main__":
    sys.exit(main())
