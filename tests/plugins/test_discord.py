"""Discord: what a channel is told, in which messages, and what becomes of it when Discord says no."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from outboxes import IMPATIENT, until
from receivers import Answering, Delivery, Receiver

from shardapi import Event, ShardApp
from shardapi.commands import CreateNet, SetOperation
from shardapi.config import ConfigError
from shardapi.events import AssignmentsChanged, ConfigChanged, PttStart, UserJoined, UserLeft
from shardapi.outbox.schedule import Schedule
from shardapi.testing import Server
from shardapi_acars import AcarsSent
from shardapi_discord.delivery import MOST_CHARACTERS
from shardapi_discord.desk import Desk
from shardapi_discord.markdown import MARKUP, escaped, length
from shardapi_discord.settings import Settings

WEBHOOK, TOKEN = "1234567890123456789", "aVery-Secret_token-" + "x" * 49
PATH = f"/api/webhooks/{WEBHOOK}/{TOKEN}"
URL = f"https://discord.com{PATH}"
NASTY = [
    "@everyone",
    "<@123>",
    "[a](https://b.c)",
    "**x**",
    "`y`",
    "||z||",
    "~~s~~",
    "> q",
    "# h",
    "a_b_c",
    "\\*",
    "x|y",
]

MakeApp = Callable[..., ShardApp]


def is_message(delivery: Delivery) -> bool:
    """Whether Discord would take it: its own rules, and ours for what is in it."""
    said = json.loads(delivery.body)
    return (
        delivery.headers["content-type"] == "application/json"
        and said["allowed_mentions"] == {"parse": []}
        and 0 < len(said["content"]) <= MOST_CHARACTERS
        and set(said) == {"content", "allowed_mentions", "flags"}
    )


class Discord(Receiver):
    """A Discord that takes what is well-formed at the webhook's path, else says 400 or 404."""

    def __init__(self, then: Answering = lambda delivery: 204) -> None:
        def answer(delivery: Delivery) -> Any:
            if delivery.path != PATH:
                return 404
            return then(delivery) if is_message(delivery) else 400

        super().__init__(answer)
        self.base = f"http://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[str]:
        """The messages that came, without the times at the beginning of their lines."""
        return [
            re.sub(r"^<t:\d+:[tf]> ", "", json.loads(one.body)["content"], flags=re.M) for one in self.got
        ]

    @property
    def lines(self) -> list[str]:
        """The lines of all messages."""
        return [line for message in self.messages for line in message.split("\n")]


@pytest.fixture
def discord() -> Iterator[Discord]:
    """A Discord that takes everything."""
    with Discord() as running:
        yield running


def settings(discord: Discord, **more: str) -> dict[str, str]:
    """The settings of a shard that tells this Discord."""
    given = {"URL": discord.base + PATH, "BASE": discord.base, **more}
    return {f"PLUGINS__DISCORD__{name}": value for name, value in given.items()}


@contextmanager
def telling(app: ShardApp, schedule: Schedule = IMPATIENT) -> Iterator[Desk]:
    """The channel is told what happens while the block runs."""
    desk: Desk = app.extensions["discord"]
    desk.outbox.schedule = schedule
    running = gevent.spawn(desk.run)
    until(lambda: desk.channel is None or desk.outbox.senders or not desk.row()[0].enabled, "for the sender")
    try:
        yield desk
    finally:
        running.kill()


def joined(*names: str, **more: Any) -> list[Event]:
    """Joins."""
    return [
        Event(
            "user.joined", UserJoined(user_id=name or "7", display_name=name, transport="ws", nets=(), **more)
        )
        for name in names
    ]


# -- what is said


def test_what_happens_is_told_in_sentences(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord, EVENTS='["*"]'))
    shard = app.shard
    with telling(app):
        shard.central.submit([CreateNet(name="Strike *1*", uid="net_" + "a" * 24)])
        shard.central.submit([SetOperation(open=True)])
        ann = {"user_id": "1", "display_name": "Ann", "transport": "ws"}
        shard.writer.append(
            [
                Event("user.joined", UserJoined(**ann, nets=(1, 250, 9))),
                Event("ptt.start", PttStart(user_id="1", display_name="Ann", net_id=1, net_uid="net_x")),
                *joined("a robot", service=True),
                Event(
                    "acars.sent",
                    AcarsSent(
                        id="a1",
                        text="Fall back. See https://x.y",
                        duration_ms=8500,
                        alert_type="critical",
                        sender_id="k",
                        sender_name="Ops",
                        source="api",
                        routed=3,
                        at="",
                    ),
                ),
                Event("user.left", UserLeft(**ann, reason="timeout")),
                Event("user.left", UserLeft(**ann, reason="closed")),
                Event("config.changed", ConfigChanged(action="preset.apply", version=3, preset="Op Friday")),
                Event(
                    "assignments.changed",
                    AssignmentsChanged(
                        source="api", action="assign", user_id="42", net_uid="net_" + "a" * 24
                    ),
                ),
            ]
        )
        shard.central.submit([SetOperation(open=False)])
        until(lambda: "The operation is **closed**" in discord.lines, "for the last one")
    assert discord.lines == [
        r"Net **Strike \*1\*** was made",
        "The operation is **open**",
        r"**Ann** joined on **Strike \*1\***, **Public Net**",
        r"🚨 **Ops**: Fall back\. See https\://x\.y",
        "**Ann** lost the connection",
        "**Ann** left",
        "Preset **Op Friday** was applied",
        r"**42** was put on **Strike \*1\***",
        "The operation is **closed**",
    ]


def test_a_net_that_was_removed_is_still_called_by_its_name(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord))
    client = app.test_client()
    secret = app.shard.keys.create("test", app.shard.plugins.all_scopes)[1]
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    with telling(app):
        uid = client.post("/api/v1/nets", json={"name": "Recon"}).json["netUid"]
        assert client.delete(f"/api/v1/nets/{uid}").status_code == 200
        until(lambda: "Net **Recon** was removed" in discord.lines, "for the removal")


def test_every_type_of_event_can_be_told(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord))
    for type_ in app.shard.events.types.values():
        said = app.extensions["discord"].outbox.kind.sentences.of(
            type_.name, {"userId": "1", "odd": {"a": [1]}}
        )
        assert said and "\n" not in said and ("odd" not in said or r"\[1\]" in said)


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_no_markup_mention_or_link(make_app: MakeApp, discord: Discord, name: str) -> None:
    app = make_app(**settings(discord))
    with telling(app):
        app.shard.writer.append(joined(name))
        until(lambda: discord.got, "for the message")
    (line,) = discord.lines
    said = line.removesuffix(" joined").removeprefix("**").removesuffix("**")
    assert re.sub(r"\\(.)", r"\1", said) == name
    assert MARKUP.search(re.sub(r"\\.", "", said)) is None
    assert "http:" not in line and "https:" not in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ann", "Ann"),
        ("a\nb\u2028c\x07d", "a b c d"),
        ("evil\u202egnp", "evil gnp"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        (" \u200b ", "?"),
        ("discord.gg/abc", r"discord\.gg/abc"),
        ("x" * 400, "x" * 299 + "…"),
        ("*" * 400, r"\*" * 299 + "…"),
    ],
)
def test_text_stays_on_its_line_and_within_bounds(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("events", ['["*"]', '["*t*", "user.*"]'])
def test_who_talks_is_never_told(make_app: MakeApp, discord: Discord, events: str) -> None:
    app = make_app(**settings(discord, EVENTS=events))
    talk = Event("ptt.start", PttStart(user_id="1", display_name="Ann", net_id=1, net_uid="net_x"))
    with telling(app):
        app.shard.writer.append([talk, *joined("Ben"), talk])
        until(lambda: discord.got, "for the message")
    assert discord.lines == ["**Ben** joined"]


def test_the_owner_chooses_the_events(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord, EVENTS='["operation.*"]'))
    with telling(app):
        app.shard.writer.append(joined("Ann"))
        app.shard.central.submit([SetOperation(open=not app.shard.guild.operation_open)])
        until(lambda: discord.got, "for the message")
    assert [line.split()[1] for line in discord.lines] == ["operation"]


# -- how many messages


def test_what_happens_at_once_is_one_message_and_none_is_too_long(
    make_app: MakeApp, discord: Discord
) -> None:
    app = make_app(**settings(discord))
    names = [f"{number:03} {'*' * 60}" for number in range(200)]
    with telling(app):
        app.shard.writer.append(joined(*names))
        until(lambda: len(discord.lines) == len(names), "for every line")
    assert discord.lines == [f"**{escaped(name)}** joined" for name in names]
    contents = [json.loads(one.body)["content"] for one in discord.got]
    assert all(length(one) <= MOST_CHARACTERS for one in contents)
    per_line = max(length(line) for one in contents for line in one.split("\n")) + 1
    assert all(length(one) > MOST_CHARACTERS - per_line for one in contents[:-1])  # full


def test_a_sentence_has_room_in_a_message_however_many_nets_it_names(
    make_app: MakeApp, discord: Discord
) -> None:
    app = make_app(**settings(discord))
    names = [f"{number:02}{'*' * 62}" for number in range(50)]
    app.shard.central.submit(
        [CreateNet(name=name, uid=f"net_{number:024}") for number, name in enumerate(names)]
    )
    ann = UserJoined(user_id="1", display_name="_" * 64, transport="ws", nets=tuple(range(1, 51)))
    with telling(app):
        app.shard.writer.append([Event("user.joined", ann), *joined("Ben")])
        until(lambda: discord.lines[-1:] == ["**Ben** joined"], "for both")
    (line,) = (one for one in discord.lines if one != "**Ben** joined")
    assert line.count(escaped("*" * 62)) == 10 and line.endswith(" and 40 more")
    of = app.extensions["discord"].outbox.kind.sentences.of
    assert length(of("odd", {"f" * 400 + str(number): "*" * 400 for number in range(9)})) < 1900


@pytest.mark.parametrize(
    "limited",
    [
        (429, {"Retry-After": "1"}, b"{}"),
        (429, {}, b'{"message": "You are being rate limited.", "retry_after": 0.7, "global": false}'),
    ],
    ids=["header", "body"],
)
def test_what_happens_under_a_rate_limit_is_folded(make_app: MakeApp, limited: Any) -> None:
    asked = float(limited[1].get("Retry-After", 0.7))
    with Discord(lambda delivery: limited if len(server.got) == 1 else 204) as server:
        app = make_app(**settings(server))
        with telling(app, Schedule(waits=(60.0,), shortest_asked=0.1)) as desk:
            app.shard.writer.append(joined("a"))
            until(lambda: server.got, "for the first")
            app.shard.writer.append(joined("b"))
            until(lambda: desk.outbox.is_held(desk.row()[0].id), "for the limit")
            app.shard.writer.append(joined(*"cdefg"))  # at once: before the limit ends
            until(lambda: len(server.got) == 3, "for the rest")
        assert server.messages[1:] == [
            "**b** joined",
            "\n".join(f"**{name}** joined" for name in "bcdefg"),
        ]
        assert asked - 0.05 <= server.got[2].at - server.got[1].at < 30  # and not the 60 of the schedule


def test_a_rate_limit_without_room_is_not_tried(make_app: MakeApp) -> None:
    full = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "2.0"}
    with Discord(lambda delivery: (204, full, b"")) as server:
        app = make_app(**settings(server))
        with telling(app) as desk:
            app.shard.writer.append(joined("a"))
            until(lambda: server.got, "for the first")
            app.shard.writer.append(joined(*"bcde"))
            until(lambda: len(server.lines) == 5, "for every line")
            assert not desk.outbox.is_held(desk.row()[0].id)
        assert len(server.got) == 2 and server.got[1].at - server.got[0].at >= 1.95


def test_a_rate_limit_is_shown_for_as_long_as_it_lasts(make_app: MakeApp) -> None:
    full = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "600"}
    with Discord(lambda delivery: (204, full, b"")) as server:
        app = make_app(**settings(server))
        with telling(app) as desk:

            def next_at() -> int:
                return desk.shard.store.read(desk.table.all)[0].next_at

            app.shard.writer.append(joined("a"))
            until(next_at, "for the limit to be kept")
            row = desk.row()[0]
            assert row.next_at == next_at() > row.last_delivery_at + 500_000
            assert desk.outbox.state(row) == "delivering"
            desk.outbox.try_now(row.id)
            until(lambda: not next_at(), "for its end to be kept")
            assert desk.row()[0].next_at == 0 and len(server.got) == 1


def test_an_event_that_is_refused_is_parked_alone_and_the_others_are_told(make_app: MakeApp) -> None:
    with Discord(lambda delivery: 400 if b"bad" in delivery.body else 204) as server:
        app = make_app(**settings(server))
        with telling(app) as desk:
            app.shard.writer.append(joined("a", "bad", "b"))
            until(lambda: server.lines[-1:] == ["**b** joined"] and desk.row()[1] == 1, "for the others")
        taken = [json.loads(one.body)["content"] for one in server.got if b"bad" not in one.body]
        assert len(taken) == 2


def test_what_was_refused_is_told_again_when_asked_for(make_app: MakeApp) -> None:
    with Discord(lambda delivery: 400 if b"bad" in delivery.body else 204) as server:
        app = make_app(**settings(server))
        with telling(app) as desk:
            assert desk.replay() == 0
            app.shard.writer.append(joined("bad"))
            until(lambda: desk.row()[1] == 1, "for it to be parked")
            server.answers = lambda delivery: 204
            assert desk.replay() == 1
            desk.outbox.wake()
            until(lambda: len(server.got) == 6 and desk.row()[1] == 0, "for it to be told")
        assert server.lines[-1] == "**bad** joined"


# -- when Discord says no


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_webhook_that_is_gone_is_given_up_with_a_shout(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    with Discord(lambda delivery: status) as server, caplog.at_level(logging.WARNING):
        app = make_app(**settings(server))
        with telling(app) as desk:
            app.shard.writer.append(joined("a"))
            until(lambda: not desk.row()[0].enabled, "for it to be disabled")
            app.shard.writer.append(joined("b"))
            assert len(server.got) == 1
            found = [
                one.envelope for one in app.shard.events.page(0, 10**9) if one.type == "discord.disabled"
            ]
        assert [one["data"] for one in found] == [{"webhook": WEBHOOK, "failures": 1}]
        shouts = [one.message for one in caplog.records if one.levelno == logging.ERROR]
        assert shouts == [f"Discord channel dc_{WEBHOOK} (discord.com) is disabled: it answered {status}"]


def test_enabled_again_it_is_told_what_it_missed(make_app: MakeApp) -> None:
    with Discord(lambda delivery: 404 if len(server.got) == 0 else 204) as server:
        app = make_app(**settings(server))
        with telling(app) as desk:
            app.shard.writer.append(joined("a", "b"))
            until(lambda: not desk.row()[0].enabled, "for it to be disabled")
            assert desk.enable() is True
            desk.outbox.wake()
            until(lambda: len(server.got) == 2, "for what it missed")
            assert desk.enable() is False
            assert [one.type for one in app.shard.events.page(0, 10**9)][-1] == "discord.enabled"
        assert server.messages == ["**a** joined\n**b** joined"] * 2


def test_an_outage_of_discord_loses_nothing(make_app: MakeApp) -> None:
    with Discord(lambda delivery: 503 if len(server.got) < 4 else 204) as server:
        app = make_app(**settings(server))
        with telling(app):
            for number in range(20):
                app.shard.writer.append(joined(f"n{number}"))
            until(lambda: server.lines[-1] == "**n19** joined" if server.got else False, "for the last")
        told = [line for message in server.messages[4:] for line in message.split("\n")]
        assert told == [f"**n{number}** joined" for number in range(20)]


# -- the settings


def test_what_happens_while_nothing_runs_is_told_later(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord))
    app.shard.writer.append(joined("before"))  # nobody was to be told
    with telling(app):
        pass
    app.shard.writer.append(joined("meanwhile"))
    app.shard.close()
    again = make_app(**settings(discord))
    with telling(again):
        until(lambda: discord.got, "for what happened meanwhile")
    assert discord.lines == ["**meanwhile** joined"]


@pytest.mark.parametrize("told", [True, False])
def test_a_start_with_the_same_settings_writes_nothing(
    make_app: MakeApp, discord: Discord, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(discord) if told else {}
    with telling(make_app(**given)) as desk:
        desk.shard.close()
    again = make_app(**given)
    written: list[Any] = []
    monkeypatch.setattr(again.shard.writer, "write", lambda work, **more: written.append(work))
    with telling(again):
        gevent.sleep(0.1)
    assert written == []


def test_another_token_is_used_and_begins_anew(
    make_app: MakeApp, discord: Discord, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = discord.base + PATH[:-5] + "wrong"
    app = make_app(**settings(discord, URL=wrong))
    with telling(app) as desk:
        app.shard.writer.append(joined("a"))
        until(lambda: not desk.row()[0].enabled, "for it to be disabled")
    app.shard.close()
    again = make_app(**settings(discord))
    with telling(again), caplog.at_level(logging.INFO, "shardapi.discord"):
        until(lambda: len(discord.got) == 2, "for what it missed")
    assert [one.type for one in again.shard.events.page(0, 10**9)][-1] == "discord.enabled"
    assert any(said.startswith(f"Discord channel dc_{WEBHOOK} is enabled") for said in caplog.messages)
    assert [one.path for one in discord.got] == [PATH[:-5] + "wrong", PATH]


def test_without_a_url_nothing_is_kept(make_app: MakeApp, discord: Discord) -> None:
    app = make_app(**settings(discord))
    with telling(app) as desk:
        assert len(desk.shard.store.read(desk.table.all)) == 1
    app.shard.close()
    again = make_app()
    with telling(again) as desk:
        until(lambda: not desk.shard.store.read(desk.table.all), "for it to be forgotten")
        assert desk.shard.store.read(desk.table.places) == {}


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL + "/",
        f"https://discordapp.com{PATH}",
        f"https://canary.discord.com{PATH}",
        f"https://discord.com:443{PATH}",
        f"https://discord.com/api/v10/webhooks/{WEBHOOK}/{TOKEN}",
        f"{URL}?thread_id=98765432109876543",
    ],
)
def test_urls_as_discord_gives_them_are_taken(url: str) -> None:
    channel = Settings(url=url).channel
    assert channel is not None
    assert (channel.webhook, channel.token) == (WEBHOOK, TOKEN)
    assert channel.secret == TOKEN + ("?thread_id=98765432109876543" if "?" in url else "")


@pytest.mark.parametrize(
    "url",
    [
        f"http://discord.com{PATH}",
        f"https://example.com{PATH}",
        f"https://discord.com.example.com{PATH}",
        f"https://discord.com@127.0.0.1{PATH}",
        f"https://user@discord.com{PATH}",
        f"https://127.0.0.1{PATH}",
        f"https://discord.com:8443{PATH}",
        f"https://discord.com/api/webhooks/{WEBHOOK}",
        f"https://discord.com/api/webhooks/{WEBHOOK}/",
        f"https://discord.com/api/webhooks/{WEBHOOK}/short",
        f"https://discord.com/api/channels/{WEBHOOK}/{TOKEN}",
        f"https://discord.com/api/webhooks/../{WEBHOOK}/{TOKEN}",
        f"{URL}/slack",
        f"{URL}?wait=true",
        f"{URL}#part",
        f"https://[discord.com{PATH}",
        f"{TOKEN}",
    ],
)
def test_another_url_stops_the_start_and_is_not_repeated(make_app: MakeApp, url: str) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.discord: url .*copy it in Discord") as refused:
        make_app(PLUGINS__DISCORD__URL=url)
    chain: list[BaseException | None] = [refused.value]
    while (error := chain[-1]) is not None:
        assert TOKEN not in str(error)
        chain.append(error.__cause__)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EVENTS", '["ptt.start"]', "never told"),
        ("EVENTS", '["user.joind"]', "did you mean user.joined"),
        ("EVENTS", '["nothing.*"]', "names no type of event"),
        ("BASE", "discord.com", "base"),
        ("BASE", "https://user@discord.com", "base"),
        ("BASE", "", "base"),
        ("TOKEN", "x", "unknown setting"),
    ],
)
def test_a_mistake_in_the_settings_is_told(make_app: MakeApp, name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_app(**{"PLUGINS__DISCORD__URL": URL, f"PLUGINS__DISCORD__{name}": value})


def test_a_plugin_less_does_not_stop_the_defaults(make_app: MakeApp) -> None:
    make_app(PLUGINS__ENABLED="discord,status", PLUGINS__DISCORD__URL=URL)


# -- secrecy, and the commands


def test_the_token_is_nowhere_but_in_the_settings(start_shard: Callable[..., Server], tmp_path: Path) -> None:
    file = tmp_path / "url"
    with Discord(lambda delivery: 404) as server:
        file.write_text(server.base + PATH + "\n")
        given = {name: value for name, value in settings(server).items() if not name.endswith("URL")}
        env = {f"SHARDAPI_{name}": value for name, value in given.items()}
        env["SHARDAPI_PLUGINS__DISCORD__URL_FILE"] = str(file)
        shard = start_shard(env=env)
        shard.post("/operation", {"open": True})
        server.wait(lambda got: got)
        shard.wait(lambda: not shard.command("discord", "status")["enabled"], "it to be disabled")
        answers = [shard.get(path).text for path in ("/audit", "/webhooks", "/metrics/prometheus", "/ready")]
        assert "shardapi_discord_attempts_total" in answers[2]
        status = shard.command("discord", "status")
        assert status["url"] == f"https://discord.com/api/webhooks/{WEBHOOK}/…"
        assert (status["disabledReason"], status["lastStatus"]) == ("gone", 404)
        said = run(shard, "discord", "test")
        assert (said.returncode, "no such webhook" in said.stdout) == (1, True)
        shard.stop()
        said_anywhere = [*answers, *shard.log, json.dumps(status), said.stdout, said.stderr]
        assert not [text for text in said_anywhere if TOKEN in text]
        for path in shard.data_dir.iterdir():
            assert TOKEN.encode() not in path.read_bytes(), path
    assert TOKEN not in repr(Settings(url=URL)) + repr(Settings(url=URL).channel)


def run(shard: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as its owner would."""
    call = [sys.executable, "-m", "shardapi", *arguments, "--data-dir", str(shard.data_dir)]
    return subprocess.run(call, env=shard.env, capture_output=True, text=True, timeout=60)


def test_the_commands_say_how_it_goes(start_shard: Callable[..., Server], discord: Discord) -> None:
    shard = start_shard(env={f"SHARDAPI_{name}": value for name, value in settings(discord).items()})
    said = run(shard, "discord", "test")
    assert said.returncode == 0 and said.stdout.startswith("Discord took it"), said.stderr
    assert discord.lines == ["This is a test: what happens at **Shard** is told here"]
    said = run(shard, "discord", "status")
    assert said.stdout.startswith(f"https://discord.com/api/webhooks/{WEBHOOK}/… is told user.joined")
    assert run(shard, "discord", "enable").stdout == "It was not disabled.\n"
    assert run(shard, "discord", "replay").stdout == "Nothing was refused.\n"
    shard.operator("1", "Ann").close()
    discord.wait(lambda got: any("**Ann** left" in json.loads(one.body)["content"] for one in got))


def test_the_status_says_how_long_a_channel_that_is_held_is_waited_for(
    start_shard: Callable[..., Server],
) -> None:
    with Discord(lambda delivery: 503) as server:
        shard = start_shard(env={f"SHARDAPI_{name}": value for name, value in settings(server).items()})
        shard.post("/operation", {"open": True})
        shard.wait(lambda: shard.command("discord", "status")["state"] == "held", "it to be held")
        status = shard.command("discord", "status")
        assert (status["enabled"], status["lastStatus"]) == (True, 503)
        assert status["failingSince"] < status["nextAttemptAt"] and status["lastGapAt"] == ""
        told = re.compile(r"^Its messages wait; the next try is at 2\S+Z\.$", re.M)
        shard.wait(lambda: told.search(run(shard, "discord", "status").stdout), "the next try to be told")


def test_without_a_channel_the_commands_say_what_to_do(start_shard: Callable[..., Server]) -> None:
    said = run(start_shard(), "discord", "test")
    assert said.returncode == 1 and "plugins.discord.url is not set" in said.stderr
    assert "Traceback" not in said.stderr
