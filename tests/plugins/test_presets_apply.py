"""/presets/NAME/apply: one plan, made whole or not at all, which adds and renames and takes nothing away."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import gevent
import pytest
from apps import API, client_of, join, problem, said
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from shardapi import ShardApp, create_app
from shardapi.changes import FeatureChanges
from shardapi.commands import Command, RemoveNet, SetFeatures, SetRules
from shardapi.config import load
from shardapi.errors import CONFLICT
from shardapi.guild import Guild
from shardapi.presets import AssignMany

PRESETS, NETS = f"{API}/presets", f"{API}/nets"
APPLY = f"{PRESETS}/Friday/apply"
GONE = "net_" + "a" * 24

Preset = dict[str, Any]


def save(client: FlaskClient, **members: Any) -> Preset:
    """The preset Friday, as it is answered."""
    kept: Preset = said(client.post(PRESETS, json={"name": "Friday", **members}))["preset"]
    return kept


def kept(client: FlaskClient) -> Preset:
    """The one preset there is."""
    (found,) = said(client.get(PRESETS))["presets"]
    return dict(found)


def apply(client: FlaskClient, query: str = "", **options: Any) -> Preset:
    return said(client.post(APPLY + query, json=options))


def net(client: FlaskClient, name: str) -> str:
    """A new net's uid."""
    return str(said(client.post(NETS, json={"name": name}))["netUid"])


def named(app: ShardApp) -> dict[str, str]:
    """The active nets' names, by uid, in the order of their slots."""
    nets = sorted(app.shard.guild.nets.values(), key=lambda net: net.slot)
    return {one.uid: one.name for one in nets}


def told(app: ShardApp) -> list[tuple[str, dict[str, Any]]]:
    """All events: type and data, without the key."""
    events = app.shard.events.page(0, 2**62)
    return [(one.type, {k: v for k, v in one.envelope["data"].items() if k != "keyId"}) for one in events]


def steps(answer: Preset) -> list[tuple[str, bool, bool]]:
    return [(step["step"], step["ok"], step["changed"]) for step in answer["results"]]


# -- how a net is found


def test_a_net_is_made_and_its_uid_is_written_into_the_preset(app: ShardApp, client: FlaskClient) -> None:
    save(client, nets=[{"id": 5, "name": "Strike", "color": "red"}], assignments={"7": [5]})
    answer = apply(client)
    ((uid, name),) = named(app).items()
    assert name == "Strike" and kept(client)["nets"] == [
        {"id": 5, "uid": uid, "netUid": uid, "name": "Strike", "color": "red"}
    ]
    assert kept(client)["assignmentList"] == [{"userId": "7", "netId": 5, "netUid": uid, "action": "assign"}]
    assert answer == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "action": "preset.apply",
        "changed": True,
        "version": 1,
        "preset": "Friday",
        "results": [
            {
                "step": "net.create",
                "ok": True,
                "changed": True,
                "id": 5,
                "name": "Strike",
                "netId": 1,
                "netUid": uid,
            },
            {"step": "assign", "ok": True, "changed": True, "userId": "7", "netId": 1, "netUid": uid},
        ],
        "applied": 2,
        "skipped": 0,
        "failed": 0,
    }


def test_a_second_apply_changes_nothing(app: ShardApp, client: FlaskClient) -> None:
    save(
        client,
        nets=[{"id": 1, "name": "A"}, {"id": 2, "name": "A"}],
        assignments={"7": [1, 2]},
        rules=[{"roleId": "5", "netIds": [2]}],
        features={"maxNets": 20, "orgLink": {"enabled": True, "netId": 1}, "publicNet": {"enabled": True}},
        open=True,
    )
    assert apply(client)["applied"] == 7
    guild, preset, events = app.shard.guild, kept(client), told(app)
    tag = client.get(PRESETS).headers["ETag"]
    again = apply(client)
    assert (again["changed"], again["version"], again["applied"], again["skipped"]) == (False, 1, 0, 7)
    assert app.shard.guild is guild and kept(client) == preset and told(app) == events
    assert client.get(PRESETS).headers["ETag"] == tag


def test_a_net_is_found_by_uid_and_renamed(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client, "Old")
    save(client, nets=[{"netUid": uid, "name": "New"}])
    assert steps(apply(client)) == [("net.rename", True, True)] and named(app) == {uid: "New"}


def test_a_net_is_found_by_exactly_its_name(app: ShardApp, client: FlaskClient) -> None:
    uid, other = net(client, "Strike"), net(client, "strike")
    save(client, nets=[{"id": 9, "name": "Strike"}], assignments={"7": [9]})
    assert steps(apply(client)) == [("net.rename", True, False), ("assign", True, True)]
    assert named(app) == {uid: "Strike", other: "strike"} and list(app.shard.guild.members) == [uid]


def test_each_net_is_another_one_however_they_are_called(app: ShardApp, client: FlaskClient) -> None:
    one, two, three = net(client, "A"), net(client, "A"), net(client, "B")
    save(
        client,
        nets=[{"name": "A"}, {"name": "A"}, {"name": "A"}, {"netUid": one, "name": "B"}, {"name": "B"}],
    )
    assert steps(apply(client)) == [
        ("net.rename", True, False),  # the second A, because the first one is another's by its uid
        ("net.create", True, True),
        ("net.create", True, True),
        ("net.rename", True, True),
        ("net.rename", True, False),
    ]
    assert list(named(app).values()) == ["B", "A", "B", "A", "A"] and {one, two, three} < set(named(app))
    assert apply(client)["changed"] is False


def test_an_archived_net_is_restored_with_its_uid_relays_and_the_presets_people(
    app: ShardApp, client: FlaskClient
) -> None:
    uid = net(client, "Old")
    said(client.post(f"{API}/assignments", json={"userId": "old", "netUid": uid}))
    said(client.delete(f"{NETS}/{uid}"))
    save(client, nets=[{"id": 1, "netUid": uid, "name": "New"}], assignments={"7": [1]})
    answer = apply(client)
    assert steps(answer) == [("archive.restore", True, True), ("assign", True, True)]
    assert named(app) == {uid: "New"} and list(app.shard.guild.members[uid]) == ["7"]
    assert apply(client)["changed"] is False


def test_a_name_goes_before_the_archive(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client, "Strike")
    said(client.delete(f"{NETS}/{uid}"))
    other = net(client, "Strike")
    save(client, nets=[{"netUid": uid, "name": "Strike"}])
    assert apply(client)["changed"] is False and named(app) == {other: "Strike"}


def test_a_uid_that_nobody_knows_gives_way_to_that_of_a_new_net(app: ShardApp, client: FlaskClient) -> None:
    save(
        client,
        nets=[{"id": 1, "netUid": GONE, "name": "A"}],
        assignments=[{"userId": "7", "netUid": GONE}],
        rules=[{"roleId": "5", "netUids": [GONE]}],
        features={"orgLink": {"netUid": GONE}},
    )
    apply(client)
    (uid,) = named(app)
    preset, guild = kept(client), app.shard.guild
    assert uid != GONE and preset["nets"][0]["netUid"] == preset["assignmentList"][0]["netUid"] == uid
    assert preset["rules"][0]["netUids"] == [uid] and preset["features"]["orgLink"] == {"netUid": uid}
    assert guild.rules[0].net_uids == (uid,) and guild.features.org_link.net_uid == uid
    assert apply(client)["changed"] is False


# -- what it does not take away


def test_what_a_preset_does_not_name_stays(app: ShardApp, client: FlaskClient) -> None:
    other, mine = net(client, "Other"), net(client, "Mine")
    for user, uid in (("1", other), ("2", mine)):
        said(client.post(f"{API}/assignments", json={"userId": user, "netUid": uid}))
    rules = [{"roleId": role, "netUids": [other]} for role in ("5", "6")]
    said(client.post(f"{API}/rules", json={"rules": rules}))
    said(client.post(f"{API}/features", json={"features": {"acarsEnabled": False}}))
    said(client.post(f"{API}/operation", json={"open": True}))
    save(
        client,
        nets=[{"netUid": mine, "name": "Mine"}],
        assignments=[{"userId": "3", "netUid": mine}],
        rules=[{"roleId": "6", "netUids": [mine]}, {"roleId": "7", "netUids": [mine]}],
        features={"globalPttEnabled": True},
    )
    apply(client)
    guild = app.shard.guild
    assert named(app) == {other: "Other", mine: "Mine"} and guild.operation_open
    assert {uid: sorted(users) for uid, users in guild.members.items()} == {other: ["1"], mine: ["2", "3"]}
    assert [(rule.role_id, rule.net_uids) for rule in guild.rules] == [
        ("5", (other,)),
        ("6", (other, mine)),
        ("7", (mine,)),
    ]
    assert not guild.features.acars_enabled and guild.features.global_ptt_enabled


def test_a_temporary_assignment_becomes_one_by_hand_too(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client, "A")
    said(client.post(f"{API}/assignments/temporary", json={"userId": "7", "netUid": uid}))
    save(client, assignments={"7": [uid]})
    assert apply(client)["applied"] == 1
    one = app.shard.guild.members[uid]["7"]
    assert one.manual and one.until


def test_who_is_connected_moves_at_once_and_is_told_once(app: ShardApp, client: FlaskClient) -> None:
    listener = join(app, "7", "pilot")
    save(
        client,
        nets=[{"id": 1, "name": "A"}, {"id": 2, "name": "B"}],
        assignments={"7": [1]},
        rules=[{"roleId": "pilot", "netIds": [2]}],
    )
    before = len(listener.seen)
    apply(client)
    (config,) = listener.seen[before:]
    assert config["type"] == "config" and config["assignments"] == [1, 2]


# -- what is told


def test_an_apply_is_told_once_with_the_number_of_its_assignments(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client, "A")
    said(client.post(f"{API}/assignments", json={"userId": "7", "netUid": uid}))
    save(
        client,
        nets=[{"name": "A"}, {"id": 2, "name": "B"}],
        assignments={"7": [1, 2], "8": [1]},
        features={"globalPttEnabled": True},
        open=True,
    )
    before = len(told(app))
    apply(client)
    assert told(app)[before:] == [
        ("config.changed", {"action": "preset.apply", "version": 3, "preset": "Friday"}),
        ("assignments.changed", {"source": "preset", "action": "assign", "count": 2}),
        ("operation.opened", {"open": True}),
    ]


def test_the_key_that_applied_it_is_named(app: ShardApp, client: FlaskClient) -> None:
    save(client, nets=[{"id": 1, "name": "A"}], assignments={"7": [1]}, open=True)
    apply(client)
    (key,) = app.shard.keys.all()
    assert all(one.envelope["data"]["keyId"] == key.id for one in app.shard.events.page(0, 2**62))


# -- what cannot be made


def _nets(count: int) -> list[Preset]:
    return [{"id": number, "name": f"N{number}"} for number in range(1, count + 1)]


BAD: dict[str, tuple[Preset, list[tuple[str, str]]]] = {
    "assignments to nets that are gone": (
        {"assignments": [{"userId": "7", "netUid": GONE}]},
        [("assign", "net_not_found")],
    ),
    "rules that name nets that are gone": (
        {"rules": [{"roleId": "5", "netUids": [GONE]}]},
        [("rules.set", "net_not_found")],
    ),
    "an org link to a net that is gone": (
        {"features": {"orgLink": {"netUid": GONE}}},
        [("features.set", "net_not_found")],
    ),
    "more nets than slots": ({"nets": _nets(5)}, [("net.create", "no_free_slot")]),
    "more nets than slots, with people and rules": (
        {
            "nets": _nets(5),
            "assignments": {"7": [5]},
            "rules": [{"roleId": "5", "netIds": [5]}],
            "features": {"orgLink": {"netId": 5}},
        },
        [
            ("net.create", "no_free_slot"),
            ("features.set", "net_not_found"),
            ("rules.set", "net_not_found"),
            ("assign", "net_not_found"),
        ],
    ),
    "more nets than central grants": ({"features": {"maxNets": 6}}, [("features.set", "invalid_value")]),
    "fewer nets than are in use": (
        {"nets": _nets(3), "features": {"maxNets": 2}},
        [("features.set", "max_nets_in_use")],
    ),
}


@pytest.fixture
def small(make_app: Callable[..., ShardApp]) -> ShardApp:
    """A shard that central grants five nets, and whose owner has four slots."""
    app = make_app(CENTRAL__MAX_NETS="5")
    app.shard.central.submit([SetFeatures(changes=FeatureChanges(max_nets=4))])
    return app


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
@pytest.mark.parametrize("case", BAD)
def test_one_bad_step_refuses_the_whole_and_shows_the_plan(small: ShardApp, case: str, query: str) -> None:
    client, (members, bad) = client_of(small), BAD[case]
    save(client, **members, open=True)
    guild, preset, events = small.shard.guild, kept(client), told(small)
    refused = problem(client.post(APPLY + query), "preset_refused")
    failed = [(step["step"], step["code"]) for step in refused["results"] if not step["ok"]]
    assert failed == bad and refused["preset"] == "Friday"
    assert [step["step"] for step in refused["results"]][-1] == "operation.set"
    assert not any(step["changed"] for step in refused["results"]) and "partial" in refused["hint"]
    assert f"{len(bad)} of " in refused["error"]
    assert next(step for step in refused["results"] if not step["ok"])["error"] in refused["error"]
    assert all(step.get("netUid", GONE) in ("", GONE) for step in refused["results"])  # none was minted
    assert small.shard.guild is guild and kept(client) == preset and told(small) == events


@pytest.mark.parametrize("case", BAD)
def test_partial_makes_the_others(small: ShardApp, case: str) -> None:
    client, (members, bad) = client_of(small), BAD[case]
    save(client, **members, open=True)
    dry = apply(client, "?dryRun=true", partial=True)
    real = apply(client, partial=True)
    assert [(step["step"], step["code"]) for step in real["results"] if not step["ok"]] == bad
    assert real["changed"] and real["failed"] == len(bad) and small.shard.guild.operation_open
    assert _unminted(dry["results"]) == _unminted(real["results"])
    made = [step["netUid"] for step in real["results"] if step["step"] == "net.create" and step["ok"]]
    assert [one["netUid"] for one in kept(client)["nets"] if one["netUid"]] == made == list(named(small))
    again = apply(client, partial=True)
    assert (again["changed"], again["failed"]) == (False, len(bad))
    for step in real["results"]:
        assert "net_" not in step.get("error", "").replace(GONE, "")


def _unminted(results: list[Preset]) -> list[Preset]:
    return [{name: value for name, value in step.items() if name != "netUid"} for step in results]


def test_there_are_never_more_rules_than_a_bound(app: ShardApp, client: FlaskClient) -> None:
    rules = [{"roleId": str(number), "netUids": []} for number in range(200)]
    said(client.post(f"{API}/rules", json={"rules": rules}))
    save(client, rules=[{"roleId": "7", "netUids": []}])
    assert apply(client)["changed"] is False
    save(client, rules=[{"roleId": "200", "netUids": []}])
    (step,) = problem(client.post(APPLY), "preset_refused")["results"]
    assert "200" in step["error"] and len(app.shard.guild.rules) == 200


def test_nets_have_the_room_that_the_preset_makes_for_them(small: ShardApp) -> None:
    client = client_of(small)
    save(client, nets=_nets(5), features={"maxNets": 5, "orgLink": {"netId": 5}})
    assert [step for step, _, _ in steps(apply(client))] == [
        "features.set",
        *["net.create"] * 5,
        "features.set",
    ]
    assert small.shard.guild.features.max_nets == 5 and len(named(small)) == 5
    assert apply(client)["changed"] is False


def test_a_preset_that_is_not_there_is_named(client: FlaskClient) -> None:
    save(client)
    refused = problem(client.post(f"{PRESETS}/friday/apply"), "preset_not_found")
    assert "friday" in refused["error"] and "Friday" in refused["hint"]


@pytest.mark.parametrize("data", [None, b"", b"{}", b'{"partial": false, "more": 1}'])
def test_an_apply_needs_no_body(client: FlaskClient, data: bytes | None) -> None:
    save(client, open=True)
    assert said(client.post(APPLY, data=data))["changed"] is True


def test_options_are_validated(client: FlaskClient) -> None:
    save(client, open=True)
    problem(client.post(APPLY, json={"partial": "yes"}), "invalid_value")


# -- beside others


def test_two_applies_at_once_make_the_nets_once(app: ShardApp, client: FlaskClient) -> None:
    save(client, nets=[{"id": 1, "name": "A"}, {"id": 2, "name": "B"}], assignments={"7": [1, 2]})
    both = [gevent.spawn(client_of(app).post, APPLY) for _ in range(2)]
    answers = [said(one.get(timeout=10)) for one in both]
    assert sorted(answer["changed"] for answer in answers) == [False, True]
    assert [one["netUid"] for one in kept(client)["nets"]] == list(named(app)) and len(named(app)) == 2
    assert answers[0]["version"] == answers[1]["version"] == 1


Overtake = Callable[[Callable[[], TestResponse]], None]


@pytest.fixture
def overtake(app: ShardApp, monkeypatch: pytest.MonkeyPatch) -> Overtake:
    """Have another write made after the next apply has read what it plans with, and before it is decided."""
    submit = app.shard.central.submit

    def lay(first: Callable[[], TestResponse]) -> None:
        def late(*commands: Any, **options: Any) -> Any:
            monkeypatch.setattr(app.shard.central, "submit", submit)
            said(first())
            return submit(*commands, **options)

        monkeypatch.setattr(app.shard.central, "submit", late)

    return lay


def test_a_net_that_is_removed_meanwhile_is_restored(
    app: ShardApp, client: FlaskClient, overtake: Overtake, caplog: pytest.LogCaptureFixture
) -> None:
    uid, other = net(client, "A"), client_of(app)
    save(client, nets=[{"netUid": uid, "name": "A"}])
    overtake(lambda: other.delete(f"{NETS}/{uid}"))
    assert steps(apply(client)) == [("archive.restore", True, True)]
    assert named(app) == {uid: "A"} and not caplog.records


def test_a_preset_that_is_saved_anew_meanwhile_is_applied_as_it_is_now(
    app: ShardApp, client: FlaskClient, overtake: Overtake
) -> None:
    save(client, nets=[{"name": "A"}])
    other = client_of(app)
    overtake(lambda: other.post(PRESETS, json={"name": "Friday", "nets": [{"name": "B"}]}))
    apply(client)
    assert list(named(app).values()) == ["B"] == [one["name"] for one in kept(client)["nets"]]
    assert apply(client)["changed"] is False


def test_a_preset_that_is_deleted_meanwhile_is_not_applied(
    app: ShardApp, client: FlaskClient, overtake: Overtake
) -> None:
    save(client, nets=[{"name": "A"}])
    other = client_of(app)
    overtake(lambda: other.delete(f"{PRESETS}/Friday"))
    problem(client.post(APPLY), "preset_not_found")
    assert named(app) == {} and app.shard.guild.version == 0


def test_rules_that_a_preset_carries_since_need_their_scope(
    app: ShardApp, client: FlaskClient, overtake: Overtake
) -> None:
    save(client, nets=[{"id": 1, "name": "A"}])
    rules = [{"roleId": "5", "netIds": [1]}]
    overtake(lambda: client.post(PRESETS, json={**kept(client), "rules": rules}))
    problem(client_of(app, "write:presets").post(APPLY), "missing_scope")
    assert named(app) == {}


def test_a_preset_that_never_rests_is_told_so(
    app: ShardApp, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(client, nets=[{"name": "A"}])
    submit, other = app.shard.central.submit, client_of(app)

    def late(*commands: Any, **options: Any) -> Any:
        said(other.post(PRESETS, json={"name": "Friday", "at": str(app.shard.events.newest)}))
        return submit(*commands, **options)

    monkeypatch.setattr(app.shard.central, "submit", late)
    assert "again" in problem(client.post(APPLY), "conflict")["hint"]
    assert named(app) == {} and app.shard.guild.version == 0


def test_a_guard_is_asked_about_every_step(app: ShardApp, client: FlaskClient) -> None:
    def guard(guild: Guild, command: Command) -> None:
        if isinstance(command, AssignMany) and "8" in command.user_ids:
            raise CONFLICT("Not that one.")

    app.shard.central.guards.append(guard)
    save(client, nets=[{"id": 1, "name": "A"}, {"id": 2, "name": "B"}], assignments={"7": [1], "8": [2]})
    problem(client.post(APPLY), "preset_refused")
    answer = apply(client, partial=True)
    assert [step.get("error") for step in answer["results"]] == [None, None, None, "Not that one."]
    assert [list(users) for users in app.shard.guild.members.values()] == [["7"]]


# -- any preset


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """An app that examples share, with six slots."""
    environ = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute", "SHARDAPI_CENTRAL__MAX_NETS": "6"}
    made = create_app(load(environ=environ, data_dir=str(tmp_path_factory.mktemp("easy"))))
    yield made
    made.shard.close()


NAMES, USERS, ROLES = st.sampled_from("ABC"), st.sampled_from("123"), st.sampled_from("56")


@st.composite
def situations(draw: st.DrawFn) -> Preset:
    """Nets that are there, nets that were, and a preset that names some of both, and some of its own."""
    there = draw(st.lists(NAMES, max_size=4))
    gone = draw(st.lists(NAMES, max_size=2))
    known = [f"there {place}" for place in range(len(there))] + [
        f"gone {place}" for place in range(len(gone))
    ]
    uids = draw(st.permutations([*known, GONE]))
    nets = [
        {
            "id": number,
            "name": name,
            **({"netUid": uids[number]} if number < len(uids) and draw(st.booleans()) else {}),
        }
        for number, name in enumerate(draw(st.lists(NAMES, max_size=4)), 1)
    ]
    own = [one["id"] for one in nets]
    refs = st.sampled_from(own) if own else st.nothing()
    foreign = st.sampled_from([uid for uid in known if uid.startswith("there")] or [GONE])
    seats = st.dictionaries(USERS, st.lists(refs | foreign, max_size=3, unique=True), max_size=3)
    ids = st.lists(refs, max_size=2) if own else st.just([])
    rules = st.lists(st.builds(lambda role, ids: {"roleId": role, "netIds": ids}, ROLES, ids))
    more = {
        "open": st.booleans(),
        "rules": rules.map(lambda found: found[:2]),
        "features": st.fixed_dictionaries(
            {}, optional={"maxNets": st.integers(4, 7), "acarsEnabled": st.booleans()}
        ),
    }
    members = draw(st.fixed_dictionaries({"assignments": seats}, optional=more))
    return {"there": there, "gone": gone, "preset": {"name": "Friday", "nets": nets, **members}}


def _placed(value: Any, uids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _placed(one, uids) for name, one in value.items()}
    if isinstance(value, list):
        return [_placed(one, uids) for one in value]
    return uids.get(value, value) if isinstance(value, str) else value


def _laid_out(app: ShardApp, client: FlaskClient, situation: Preset) -> Preset:
    """Make the guild of a situation; returns its preset."""
    central = app.shard.central
    central.submit([RemoveNet(uid=uid) for uid in app.shard.guild.nets])
    central.submit([SetRules(rules=()), SetFeatures(changes=FeatureChanges(max_nets=6))])
    uids = {f"gone {place}": net(client, name) for place, name in enumerate(situation["gone"])}
    central.submit([RemoveNet(uid=uid) for uid in uids.values()])
    uids |= {f"there {place}": net(client, name) for place, name in enumerate(situation["there"])}
    if uids:
        said(client.post(f"{API}/rules", json={"rules": [{"roleId": "5", "netUids": list(named(app))[:1]}]}))
    return dict(_placed(situation["preset"], uids))


def _holds(after: Guild, before: Guild) -> bool:
    """Whether nothing was taken away."""
    rules = {rule.role_id: set(rule.net_uids) for rule in after.rules}
    return (
        before.nets.keys() <= after.nets.keys()
        and all(users.keys() <= after.members[uid].keys() for uid, users in before.members.items())
        and all(set(rule.net_uids) <= rules[rule.role_id] for rule in before.rules)
    )


@given(situation=situations(), partial=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_preset_is_made_true_once_as_its_dry_run_says(
    easy: ShardApp, situation: Preset, partial: bool
) -> None:
    client = client_of(easy)
    preset = _laid_out(easy, client, situation)
    save(client, **preset)
    before, kept_before = easy.shard.guild, kept(client)
    dry = client.post(f"{APPLY}?dryRun=true", json={"partial": partial})
    assert easy.shard.guild is before and kept(client) == kept_before
    real = client.post(APPLY, json={"partial": partial})
    assert dry.status_code == real.status_code
    assert _unminted(dry.get_json()["results"]) == _unminted(real.get_json()["results"])
    if real.status_code == 409:
        problem(real, "preset_refused")
        assert not partial and easy.shard.guild is before and kept(client) == kept_before
        return
    answer, after = said(real), easy.shard.guild
    assert partial or answer["failed"] == 0
    assert _holds(after, before) and answer["changed"] == (after is not before)
    known = set(before.nets) | {one["netUid"] for one in kept_before["nets"]} | {""}
    for told_dry, told_real in zip(dry.get_json()["results"], answer["results"], strict=True):
        if told_dry.get("netUid") != told_real.get("netUid"):
            assert told_dry["netUid"] == "" and told_real["netUid"] not in known
    again = apply(client, partial=partial)
    assert (again["changed"], again["version"]) == (False, after.version) and easy.shard.guild is after
    assert [one["ok"] for one in again["results"] if one["step"] == "assign"] == [
        one["ok"] for one in answer["results"] if one["step"] == "assign"
    ]

    said(client.delete(f"{PRESETS}/{quote('Friday')}"))
