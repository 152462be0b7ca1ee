"""Guards: plugins that may refuse a command, asked for real runs and dry runs alike, and contained."""

from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import pytest
from flask.testing import FlaskClient
from strangers import IMPORTS

from shardapi import ErrorCode, Guard, ShardApp
from shardapi.central import Refused
from shardapi.commands import Assign, Command, CreateNet, SetOperation
from shardapi.errors import ApiError
from shardapi.guards import Asked
from shardapi.guild import Guild

CLOSED = ErrorCode("closed_for_now", 503, "Closed for now")
API = "/api/v1"


@pytest.fixture
def guarded(app: ShardApp) -> Callable[[Callable[[Guild, Command], None]], None]:
    """Have a function asked about every command to `app`."""
    return lambda check: app.shard.central.guards.append(
        Asked("guest", Guard(check, [CLOSED]), app.shard.problems)
    )


def refuse_operation(guild: Guild, command: Command) -> None:
    """No operation opens while there is no net."""
    if isinstance(command, SetOperation) and not guild.nets:
        raise CLOSED("There is no net yet.", hint="Make one.", facts={"nets": 0})


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_a_guard_refuses_real_runs_and_dry_runs_alike(
    app: ShardApp, client: FlaskClient, guarded: Any, query: str
) -> None:
    guarded(refuse_operation)
    refused = client.post(f"{API}/operation{query}", json={"open": True})
    assert refused.status_code == 503 and refused.json is not None
    assert (refused.json["code"], refused.json["hint"], refused.json["nets"]) == (
        "closed_for_now",
        "Make one.",
        0,
    )
    assert app.shard.guild.version == 0 and not app.shard.guild.operation_open
    assert app.shard.problems.counts == {}
    assert client.post(f"{API}/nets", json={"name": "One"}).status_code == 200
    assert client.post(f"{API}/operation{query}", json={"open": True}).status_code == 200


def test_a_guard_sees_the_guild_as_the_commands_before_have_left_it(app: ShardApp, guarded: Any) -> None:
    guarded(refuse_operation)
    net, opening = CreateNet(uid="net_" + "a" * 24, name="One"), SetOperation(open=True)
    with pytest.raises(Refused) as raised:
        app.shard.central.submit([opening, net])
    assert raised.value.kind is CLOSED and not app.shard.guild.nets
    app.shard.central.submit([net, opening])
    assert app.shard.guild.operation_open


def test_of_commands_that_are_not_atomic_only_the_guarded_is_refused(app: ShardApp, guarded: Any) -> None:
    guarded(refuse_operation)
    batch = [SetOperation(open=True), CreateNet(uid="net_" + "a" * 24, name="One")]
    outcome = app.shard.central.submit(batch, atomic=False, record=lambda outcome: outcome)
    assert isinstance(outcome.results[0], ApiError) and outcome.results[0].kind is CLOSED
    assert len(app.shard.guild.nets) == 1 and not app.shard.guild.operation_open


def test_a_guard_is_told_who_asks(app: ShardApp, client: FlaskClient, guarded: Any) -> None:
    seen: list[str] = []
    guarded(lambda guild, command: seen.append(command.by))
    client.post(f"{API}/operation", json={"open": True})
    assert seen == [key.id for key in app.shard.keys.all()]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        SystemExit(1),
        gevent.Timeout(1),
        KeyboardInterrupt(),
        gevent.GreenletExit("secret"),
    ],
)
def test_a_guard_that_breaks_refuses_nothing_and_is_told(
    app: ShardApp, client: FlaskClient, guarded: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def broken(guild: Guild, command: Command) -> None:
        raise error

    guarded(broken)
    assert client.post(f"{API}/operation", json={"open": True}).status_code == 200
    assert app.shard.problems.counts == {("guest", "guard"): 1}
    ready = client.get("/ready")
    assert ready.json is not None and ready.json["problems"][0]["plugin"] == "guest"
    assert "secret" not in ready.text and "plugin guest: guard " in caplog.text


def test_a_guard_that_waits_does_not_keep_the_writer_from_its_end(app: ShardApp, guarded: Any) -> None:
    asked = gevent.event.Event()

    def waits(guild: Guild, command: Command) -> None:
        asked.set()
        gevent.sleep(60)

    guarded(waits)
    app.shard.spawn(lambda: app.shard.central.submit([SetOperation(open=True)]))
    asked.wait()
    with gevent.Timeout(5):
        app.shard.writer.stop()
    assert app.shard.problems.counts == {}


def test_what_was_temporary_ends_whatever_guards_say(
    app: ShardApp, guarded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = CreateNet(uid="net_" + "a" * 24, name="One")
    now = 1_900_000_000_000
    app.shard.central.submit([net, Assign(uid=net.uid, user_id="1", until=now)])

    def refuse(guild: Guild, command: Command) -> None:
        raise CLOSED("No.")

    guarded(refuse)
    monkeypatch.setattr("shardapi.central.clock.now", lambda: now + 1)
    app.shard.central.end_due()
    assert app.shard.guild.members.get(net.uid, {}) == {}


def test_writes_say_in_the_document_what_guards_refuse_with(tmp_path: Any) -> None:
    from shardapi import create_app
    from shardapi.config import Config, PluginSettings
    from shardapi.openapi import document

    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "closed.py").write_text(
        IMPORTS
        + "from shardapi import ErrorCode\nCLOSED = ErrorCode('closed_for_now', 503, 'Closed for now')\n"
        + "@hookimpl\ndef shardapi_guards(app):\n    return [Guard(lambda guild, command: None, [CLOSED])]\n"
    )
    settings = PluginSettings(enabled=("closed", "operation", "status"), dir=str(tmp_path / "plugins"))
    app = create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))
    paths = document(app.shard)["paths"]
    app.shard.close()
    assert "closed_for_now" in str(paths["/api/v1/operation"]["post"]["responses"]["503"])
    assert "closed_for_now" not in str(paths["/api/v1/status"])
