"""The archive with a million entries: how soon a search answers and whether the loop feels it, load and upserts."""

from __future__ import annotations

import argparse
import http.client
import io
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import gevent
from measure import (
    Server,
    Verdict,
    at_least,
    at_most,
    busy_seconds,
    own_seconds,
    percentile,
    report,
    shardapi,
)
from msgspec.structs import replace
from store import Ticker

from shardapi import catalogue, clock, create_app
from shardapi.app import ShardApp
from shardapi.catalogue import Entry
from shardapi.central import mint_uid
from shardapi.config import load
from shardapi.folder import STORE

PATH = "/api/v1/archive"
BATCH = 250
UNLIMITED = {"SHARDAPI_LIMITS__DEFAULT": "100000000/minute"}
WORDS, TAGS = 20_000, 200
Pair = tuple[str, str]


def arguments() -> argparse.Namespace:
    """What can be asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=600)
    parser.add_argument("--upserts", type=int, default=20_000)
    parser.add_argument("--callers", type=int, default=64, help="who upsert at once")
    parser.add_argument("--datasette", help="its command, to ask it the same")
    parser.add_argument("--datasette-searches", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


# -- what is in it


class Language:
    """Made-up words, some far more frequent than others, as in any language."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        made: set[str] = set()
        while len(made) < WORDS:
            made.add("".join(self._syllable() for _ in range(chance.randint(1, 4))) + chance.choice(" nrstx"))
        self.words = [word.strip() for word in sorted(made)]
        chance.shuffle(self.words)
        self._weights = list(itertools.accumulate(1 / (place + 5) ** 0.9 for place in range(WORDS)))

    def _syllable(self) -> str:
        return self.chance.choice("bcdfghjklmnprstvwz") + self.chance.choice("aeiou")

    def some(self, least: int, most: int) -> list[str]:
        """Words by their frequency."""
        return self.chance.choices(self.words, cum_weights=self._weights, k=self.chance.randint(least, most))

    def entry(self, now: int) -> Entry:
        """An entry: a name of one to three words, 4 to 12 in the notes, up to three tags, two people."""
        tags = {self.words[500 + self.chance.randrange(TAGS)] for _ in range(self.chance.randint(0, 3))}
        return replace(
            catalogue.blank(mint_uid(), now, "import"),
            name=" ".join(self.some(1, 3)).title(),
            notes=" ".join(self.some(4, 12)),
            tags=tuple(sorted(tags)),
            assigned_user_ids=("123456789012345678", "123456789012345679"),
        )

    def pair(self) -> Pair:
        """The beginnings of two words, one to six letters of each."""
        one, other = (word[: self.chance.randint(1, 6)] for word in self.some(2, 2))
        return one, other


# -- writes


class Others:
    """What share of the cores other processes took while the block ran."""

    def __enter__(self) -> Others:
        self._began, self._busy, self._own = time.perf_counter(), busy_seconds(), own_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        spent = busy_seconds() - self._busy - (own_seconds() - self._own)
        self.share = max(0.0, spent / self.seconds / 2)


def fill(app: ShardApp, language: Language, count: int) -> None:
    """Load entries as a plugin may, 250 in a transaction; only the time in the catalogue counts."""
    shard, now, spent, cpu = app.shard, clock.now(), 0.0, 0.0
    with Others() as others:
        for start in range(0, count, BATCH):
            entries = [language.entry(now - count + start) for _ in range(min(BATCH, count - start))]
            began, before = time.perf_counter(), time.process_time()
            shard.writer.write(lambda entries=entries: catalogue.load(shard.guild_id, entries, now))
            spent += time.perf_counter() - began
            cpu += time.process_time() - before
    size = (shard.store.path.stat().st_size) / 2**20
    print(
        f"# {count} entries through catalogue.load in {spent:.0f} s, {count / spent:.0f}/s ({count / cpu:.0f} in a"
        f" second of CPU), {size:.0f} MiB on disk; others took {others.share:.0%}"
    )


def move(data: Path, into: Path, count: int) -> Verdict:
    """The entries as lines of an export, and by `shardapi import` as another shard's: the whole command counts."""
    lines = data.with_name("export.jsonl")
    subprocess.run(shardapi("export", str(lines), data=data), stdout=subprocess.DEVNULL, check=True)
    with Others() as others:
        subprocess.run(shardapi("import", str(lines), data=into), stdout=subprocess.DEVNULL, check=True)
    size = lines.stat().st_size / 2**20
    print(f"# an export of {size:.0f} MiB imported in {others.seconds:.0f} s; others took {others.share:.0%}")
    lines.unlink()
    return at_least("archive/load-per-s", count / others.seconds, 10_000)


def call(app: ShardApp, key: str, method: str, query: str = "", body: bytes = b"") -> bytes:
    """One call, the whole way of a request but for the socket."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": PATH,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    status: list[str] = []
    answer = b"".join(app.wsgi_app(environ, lambda line, headers, info=None: status.append(line)))
    if not status[0].startswith("200"):
        raise RuntimeError(f"{status[0]}: {answer!r}")
    return answer


def upserts(app: ShardApp, language: Language, count: int, callers: int) -> Verdict:
    """Entries at the store's door, every other an update, each caller waiting until it is on disk."""
    shard, now, known = app.shard, clock.now(), list[Entry]()

    def work(entries: Sequence[Entry]) -> None:
        for entry in entries:
            if known and language.chance.random() < 0.5:
                entry = replace(entry, uid=known.pop().uid)
            shard.writer.write(lambda entry=entry: catalogue.save(shard.guild_id, [entry], now))
            known.append(entry)

    made = [language.entry(now) for _ in range(count)]
    with Others() as others:
        _all([gevent.spawn(work, made[place::callers]) for place in range(callers)])
    print(f"# {count} upserts by {callers} callers at the door; others took {others.share:.0%}")
    return at_least("archive/upserts-per-s", count / others.seconds, 2_000)


def requests(app: ShardApp, key: str, language: Language, count: int, callers: int) -> None:
    """The same through POST /archive, the whole way of a request but for the socket."""
    known: list[str] = []

    def work(bodies: Sequence[dict[str, Any]]) -> None:
        for body in bodies:
            if known and language.chance.random() < 0.5:
                body["uid"] = known.pop()
            known.append(json.loads(call(app, key, "POST", body=json.dumps(body).encode()))["entry"]["uid"])

    made = [language.entry(0) for _ in range(count)]
    bodies = [{"name": one.name, "notes": one.notes, "tags": list(one.tags)} for one in made]
    before = time.process_time()
    with Others() as others:
        _all([gevent.spawn(work, bodies[place::callers]) for place in range(callers)])
    cpu = time.process_time() - before
    print(
        f"# through POST /archive: {count / others.seconds:.0f}/s ({count / cpu:.0f} in a second of CPU);"
        f" others took {others.share:.0%}"
    )


def _all(greenlets: Sequence[gevent.Greenlet]) -> None:
    gevent.joinall(greenlets, raise_error=True)


# -- searches


def query(pair: Pair) -> str:
    """A search for words that begin so."""
    return f"q={quote(' '.join(pair))}"


def stalls(app: ShardApp, key: str, pairs: Sequence[Pair]) -> list[Verdict]:
    """How late a 1 ms timer of the loop is while four callers search."""
    idle = Ticker()
    gevent.sleep(2)
    idle.task.kill()
    with Others() as others:
        ticker = Ticker()
        gevent.joinall(
            [
                gevent.spawn(
                    lambda place=place: [call(app, key, "GET", query(one)) for one in pairs[place::4]]
                )
                for place in range(4)
            ],
            raise_error=True,
        )
        ticker.task.kill()
    print(
        f"# the timer was {max(idle.late):.1f} ms late at most without searches,"
        f" p99 {percentile(ticker.late, 0.99):.1f} ms with them; others took {others.share:.0%}"
    )
    return [at_most("archive/loop-stall-ms", max(ticker.late), 10)]


class Seen(NamedTuple):
    """How long an answer took, and what it was: the uids of its page, the total, and whether that is exact."""

    ms: float
    uids: list[str]
    total: int
    exact: bool


def ask(server: Server, paths: Sequence[str]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Call after call on one connection: milliseconds and the answer."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path, headers=server.headers)
        with connection.getresponse() as response:
            body = response.read()
            took = (time.perf_counter() - began) * 1000
        if response.status != 200:
            raise RuntimeError(f"{server.name} answered {response.status} to {path}: {body[:500]!r}")
        yield took, json.loads(body)
    connection.close()


def ours(server: Server, pairs: Sequence[Pair]) -> list[Seen]:
    """What shardapi answers."""
    return [
        Seen(ms, [one["uid"] for one in said["entries"]], said["total"], said["totalIsExact"])
        for ms, said in ask(server, [f"{PATH}?{query(pair)}" for pair in pairs])
    ]


def theirs(server: Server, pairs: Sequence[Pair]) -> list[Seen]:
    """What Datasette answers: its own search of the same table, the newest first, with its count."""
    options = "_searchmode=raw&_sort_desc=id&_size=50&_nofacet=1&_nosuggest=1&_shape=objects"
    table = f"/{Path(STORE).stem}/catalogue.json?{options}&_search="
    paths = [table + quote(" ".join(f'"{word}"*' for word in pair)) for pair in pairs]
    return [
        Seen(ms, [one["uid"] for one in said["rows"]], said["filtered_table_rows_count"], True)
        for ms, said in ask(server, paths)
    ]


def start_datasette(command: str, data: Path, folder: Path) -> Server:
    """Datasette on the same file, told which index is the table's."""
    tables = {"catalogue": {"fts_table": "archive_search", "fts_pk": "id"}}
    metadata = folder / "metadata.json"
    metadata.write_text(json.dumps({"databases": {Path(STORE).stem: {"tables": tables}}}))
    settings = [*("--setting", "sql_time_limit_ms", "60000"), *("--setting", "facet_time_limit_ms", "60000")]
    serve = [command, "serve", str(data / STORE), "--port", "0", "--metadata", str(metadata), *settings]
    return Server("datasette", serve, folder / "datasette.log", ready="/-/versions.json")


def compare(our: Sequence[Seen], their: Sequence[Seen]) -> None:
    """Raise where the answers differ."""
    for one, other in zip(our, their, strict=False):
        if (
            one.uids != other.uids
            or one.total != min(other.total, 1000)
            or one.exact != (other.total <= 1000)
        ):
            raise RuntimeError(f"the answers differ: {one} and {other}")


def told(name: str, seen: Sequence[Seen]) -> tuple[float, float]:
    """p50 and p99, told."""
    times = [one.ms for one in seen]
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    print(f"# {name}: {len(seen)} searches, p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {max(times):.2f} ms")
    return p50, p99


def searches(data: Path, folder: Path, pairs: Sequence[Pair], options: argparse.Namespace) -> list[Verdict]:
    """Page and total over HTTP, one search after another; Datasette's of the same queries beside them."""
    secret = subprocess.run(
        shardapi("keys", "create", "bench", "--scope", "write:archive", "--json", data=data),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    key = {"Authorization": f"Bearer {json.loads(secret)['secret']}"}
    serve = shardapi("serve", "--bind", "127.0.0.1:0", data=data)
    with ExitStack() as stack:
        server = stack.enter_context(
            Server("shardapi", serve, folder / "shardapi.log", env=UNLIMITED, headers=key)
        )
        with Others() as others:
            our = ours(server, pairs)
        p50, p99 = told(f"shardapi (others took {others.share:.0%})", our)
        if options.datasette:
            datasette = stack.enter_context(start_datasette(options.datasette, data, folder))
            their = theirs(datasette, pairs[: options.datasette_searches])
            compare(our, their)
            same, other = told("shardapi, the same", our[: len(their)]), told("datasette", their)
            print(
                f"# datasette takes {other[0] / same[0]:.1f} times as long at p50, {other[1] / same[1]:.1f} at p99"
            )
    return [at_most("archive/search-p50-ms", p50, 20), at_most("archive/search-p99-ms", p99, 60)]


def main() -> int:
    options = arguments()
    language = Language(random.Random(options.seed))
    with tempfile.TemporaryDirectory() as folder:
        made, data = Path(folder, "made"), Path(folder, "data")
        app = create_app(load(environ=UNLIMITED, data_dir=str(made)))
        pairs = [language.pair() for _ in range(options.searches)]
        fill(app, language, options.entries)
        app.shard.close()
        verdicts = [move(made, data, options.entries)]
        app = create_app(load(environ=UNLIMITED, data_dir=str(data)))
        key = app.shard.keys.create("bench", ["write:archive"])[1]
        verdicts += stalls(app, key, pairs)
        verdicts += [upserts(app, language, options.upserts, options.callers)]
        requests(app, key, language, options.upserts, options.callers)
        app.shard.close()
        verdicts += searches(data, Path(folder), pairs, options)
    return report(verdicts)


if __name__ == "__main__":
    sys.exit(main())
