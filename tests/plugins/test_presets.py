"""/presets: saved in either form and answered in both, under any name; what does not fit is refused."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import gevent
import pytest
from apps import API, client_of, problem, said
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from shardapi import ShardApp, create_app
from shardapi.config import load
from shardapi.testing import Server
from shardapi_presets import models

PRESETS, NETS = f"{API}/presets", f"{API}/nets"
GONE = "net_" + "a" * 24
EASY = {"SHARDAPI_LIMITS__DEFAULT": "1000000/minute"}

Preset = dict[str, Any]


def save(client: FlaskClient, name: str = "Friday", **members: Any) -> Preset:
    """A saved preset, as it is answered."""
    kept: Preset = said(client.post(PRESETS, json={"name": name, **members}))["preset"]
    return kept


def listed(client: FlaskClient) -> list[Preset]:
    found: list[Preset] = said(client.get(PRESETS))["presets"]
    return found


def path_of(name: str, more: str = "") -> str:
    return f"{PRESETS}/{quote(name, safe='')}{more}"


def net(client: FlaskClient, name: str = "Strike") -> str:
    """A new net's uid."""
    return str(said(client.post(NETS, json={"name": name}))["netUid"])


def told(app: ShardApp) -> list[tuple[str, dict[str, Any]]]:
    """All events: type and data, without the key."""
    events = app.shard.events.page(0, 2**62)
    return [(one.type, {k: v for k, v in one.envelope["data"].items() if k != "keyId"}) for one in events]


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """An app that examples share, without a limit to speak of."""
    made = create_app(load(environ=EASY, data_dir=str(tmp_path_factory.mktemp("easy"))))
    yield made
    made.shard.close()


@pytest.fixture
def shared(easy: ShardApp) -> FlaskClient:
    """A client of it; a test deletes what it saves."""
    return client_of(easy)


# -- what is answered


def test_a_preset_is_answered_with_ids_uids_map_and_list(app: ShardApp, client: FlaskClient) -> None:
    uid = net(client)
    answer = said(
        client.post(
            PRESETS,
            json={
                "name": " Friday Op ",
                "nets": [{"name": " New ", "id": 7}, {"name": "Strike", "netUid": uid}],
                "assignments": [{"userId": "9007199254740993", "netId": 7}, {"userId": "2", "netUid": uid}],
                "open": True,
            },
        )
    )
    assert (answer["action"], answer["changed"], answer["version"]) == ("preset.save", True, 1)
    assert answer["preset"] == {
        "name": "Friday Op",
        "nets": [
            {"id": 7, "uid": "", "netUid": "", "name": "New"},
            {"id": 1, "uid": uid, "netUid": uid, "name": "Strike"},
        ],
        "assignments": {"9007199254740993": [7], "2": [1]},
        "assignmentList": [
            {"userId": "9007199254740993", "netId": 7, "netUid": "", "action": "assign"},
            {"userId": "2", "netId": 1, "netUid": uid, "action": "assign"},
        ],
        "open": True,
    }
    assert listed(client) == [answer["preset"]]


@pytest.mark.parametrize("form", ["list by id", "list by uid", "map by id", "map by uid", "assignmentList"])
def test_all_forms_of_assignments_are_the_same(client: FlaskClient, form: str) -> None:
    uid = net(client)
    by_id, by_uid = {"userId": "7", "netId": 1}, {"userId": "7", "netUid": uid}
    forms: dict[str, Preset] = {
        "list by id": {"assignments": [by_id]},
        "list by uid": {"assignments": [{**by_uid, "action": "assign"}]},
        "map by id": {"assignments": {"7": [1]}},
        "map by uid": {"assignments": {"7": [uid, 1]}},
        "assignmentList": {"assignmentList": [by_uid]},
    }
    kept = save(client, **forms[form])
    assert kept["assignments"] == {"7": [1]}
    assert kept["assignmentList"] == [{"userId": "7", "netId": 1, "netUid": uid, "action": "assign"}]


def test_an_id_names_the_presets_own_net_before_a_slot(client: FlaskClient) -> None:
    uids = [net(client, "One"), net(client, "Two")]
    kept = save(client, nets=[{"id": 1, "name": "Own"}], assignments={"7": [1, 2]})
    assert [seat["netUid"] for seat in kept["assignmentList"]] == ["", uids[1]]
    assert kept["assignments"] == {"7": [1, 2]}


def test_a_slot_that_is_an_own_id_too_is_told_by_uid(client: FlaskClient) -> None:
    uid = net(client)
    kept = save(client, nets=[{"id": 1, "name": "Own"}], assignments=[{"userId": "7", "netUid": uid}])
    assert kept["assignments"] == {"7": [uid]} and kept["assignmentList"][0]["netId"] == 0
    assert save(client, **_without_name(kept)) == kept


def _without_name(preset: Preset) -> Preset:
    return {name: value for name, value in preset.items() if name != "name"}


def test_nets_without_ids_get_some_of_their_own(client: FlaskClient) -> None:
    uids = [net(client), net(client)]
    nets = [
        {"name": "A"},
        {"name": "B", "uid": uids[1]},
        {"name": "C", "id": 3},
        {"name": "D", "netUid": GONE},
    ]
    kept = save(client, nets=nets)
    assert [one["id"] for one in kept["nets"]] == [4, 2, 3, 5]


def test_further_members_are_kept_wherever_they_are(client: FlaskClient) -> None:
    kept = save(
        client,
        nets=[{"id": 1, "name": "A", "color": "red"}],
        assignments=[{"userId": "7", "netId": 1, "seat": {"row": [1, 2.5, None]}}],
        rules=[{"roleId": "5", "netIds": [1], "why": "pilots"}],
        description="Größe 日本 🛰",
        big=123456789012345678901234567890,
    )
    assert kept["nets"][0]["color"] == "red" and kept["assignmentList"][0]["seat"] == {"row": [1, 2.5, None]}
    assert kept["rules"][0]["why"] == "pilots" and kept["description"] == "Größe 日本 🛰"
    assert kept["big"] == 123456789012345678901234567890 and listed(client) == [kept]


def test_members_that_are_null_are_not_there(client: FlaskClient) -> None:
    absent = dict.fromkeys(("nets", "assignments", "assignmentList", "open", "rules", "features"))
    assert save(client, **absent) == {"name": "Friday", "nets": [], "assignments": {}, "assignmentList": []}


def test_the_order_of_seats_and_of_members_says_nothing(client: FlaskClient) -> None:
    one, two = net(client), net(client, "Other")
    seats = [{"userId": user, "netUid": uid} for user, uid in (("a", one), ("b", one), ("a", two))]
    kept = save(client, assignments=seats)
    assert said(client.post(PRESETS, json=kept))["changed"] is False
    for same in (seats[::-1], {"b": [one], "a": [two, one]}):
        again = said(client.post(PRESETS, json={"name": "Friday", "assignments": same}))
        assert (again["changed"], again["preset"]) == (False, kept)
    assert said(client.post(PRESETS, json={"name": "Friday", "assignments": {"a": [one]}}))["changed"] is True


@pytest.mark.parametrize("seat", ["1", "no uid", "net_", ""])
def test_a_seat_that_can_be_no_uid_is_refused_as_it_is_saved(client: FlaskClient, seat: str) -> None:
    refused = problem(client.post(PRESETS, json={"name": "A", "assignments": {"a": [seat]}}), "invalid_value")
    assert "without quotes" in refused["error"] or not seat


def test_what_was_answered_can_be_saved_again_and_changes_nothing(app: ShardApp, client: FlaskClient) -> None:
    uid, other = net(client), net(client, "Other")
    kept = save(
        client,
        nets=[{"id": 9, "name": "New"}, {"name": "Strike", "netUid": uid, "color": "red"}],
        assignments=[{"userId": "7", "netId": 9, "seat": 1}, {"userId": "8", "netId": 2, "seat": 2}],
        rules=[{"roleId": "5", "netIds": [9, 1, 2]}, {"roleId": "6", "netUids": []}],
        features={"orgLink": {"enabled": True, "netId": 9}, "maxNets": 30, "publicNet": {"roleIds": ["5"]}},
        open=False,
    )
    before = told(app)
    again = said(client.post(PRESETS, json=kept))
    assert (again["changed"], again["preset"]) == (False, kept) and told(app) == before
    said(client.delete(f"{NETS}/{other}"))  # and now slot 2 is nobody's, then somebody else's
    assert said(client.post(PRESETS, json=kept))["changed"] is False
    for _ in range(49):
        net(client, "Third")
    assert said(client.get(f"{API}/status"))["nets"][1]["name"] == "Third"
    assert said(client.post(PRESETS, json=kept))["changed"] is False
    renamed = save(client, "Saturday", **_without_name({**kept, "rules": []}))
    assert [seat["netUid"] for seat in renamed["assignmentList"]] == ["", other]


# -- names


@pytest.mark.parametrize(
    "name",
    [
        "Friday Op",
        "a/b",
        "50 %",
        "%2F",
        "%",
        "/",
        "//",
        "/lead",
        "trail/",
        "a//b",
        "...",
        "../x",
        "x/..",
        "a/../b",
    ]
    + ["x/apply", "apply", "/apply", "?a=b#c", "Größe 日本 🛰", "n" * 100, "a+b", "a;b", "'\"\\<>", "é"],
)
def test_a_preset_can_be_called_so(shared: FlaskClient, name: str) -> None:
    save(shared, "other")
    assert save(shared, name)["name"] == name
    assert [preset["name"] for preset in listed(shared)] == sorted([name, "other"])
    assert said(shared.post(path_of(name, "/apply")))["preset"] == name
    assert said(shared.post(path_of(name, "/apply")))["changed"] is False
    assert said(shared.delete(path_of(name)))["name"] == name
    assert [preset["name"] for preset in listed(shared)] == ["other"]
    problem(shared.delete(path_of(name)), "preset_not_found")
    problem(shared.post(path_of(name, "/apply")), "preset_not_found")
    said(shared.delete(path_of("other")))


@pytest.mark.parametrize(
    "name", ["", "  ", ".", "..", " .. ", "a\nb", "a\x00b", "a\x7fb", "n" * 101, 7, None]
)
def test_a_preset_cannot_be_called_so(shared: FlaskClient, name: Any) -> None:
    refused = problem(shared.post(PRESETS, json={"name": name}), "invalid_value")
    assert refused["errors"][0]["path"] == "name" and listed(shared) == []


def test_upper_and_lower_case_are_two_presets(client: FlaskClient) -> None:
    save(client, "friday", open=True)
    refused = problem(client.delete(path_of("Friday")), "preset_not_found")
    assert "friday" in refused["hint"]
    save(client, "Friday")
    assert [preset["name"] for preset in listed(client)] == ["Friday", "friday"]


def test_no_route_depends_on_a_trailing_slash(client: FlaskClient) -> None:
    said(client.post(f"{PRESETS}/", json={"name": "Friday"}))
    said(client.get(f"{PRESETS}/"))
    said(client.post(f"{PRESETS}/Friday/apply/"))
    said(client.delete(f"{PRESETS}/Friday/"))
    save(client)
    problem(client.delete(f"{PRESETS}/Friday%2F"), "preset_not_found")
    save(client, "Friday/")
    assert said(client.delete(f"{PRESETS}/Friday/"))["name"] == "Friday/"
    assert [preset["name"] for preset in listed(client)] == ["Friday"]


def test_an_apply_cannot_be_deleted_but_a_preset_that_is_called_so(client: FlaskClient) -> None:
    save(client)
    refused = client.delete(f"{PRESETS}/Friday/apply", headers={"If-Match": '"0"'})
    assert "%2F" in problem(refused, "method_not_allowed")["hint"] and refused.headers["Allow"] == "POST"
    save(client, "Friday/apply")
    assert said(client.delete(f"{PRESETS}/Friday/apply"))["name"] == "Friday/apply"
    assert [preset["name"] for preset in listed(client)] == ["Friday"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Friday"), ("POST", "/Friday"), ("POST", "//apply"), ("PATCH", "")]
)
def test_other_methods_are_refused(shared: FlaskClient, method: str, path: str) -> None:
    problem(shared.open(PRESETS + path, method=method), "method_not_allowed")


names = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("/%.?#+ apply"), min_size=1, max_size=100
)


@given(name=names.map(str.strip).filter(lambda name: name not in ("", ".", "..")))
@settings(max_examples=150, deadline=None)
def test_any_name_goes_all_the_way_round(easy: ShardApp, name: str) -> None:
    client = client_of(easy)
    assert save(client, name)["name"] == name
    assert name in [preset["name"] for preset in listed(client)]
    assert said(client.post(path_of(name, "/apply")))["preset"] == name
    assert said(client.delete(path_of(name)))["name"] == name
    assert listed(client) == []


def test_names_go_all_the_way_round_at_a_live_shard(shard: Server) -> None:
    names = [
        "a/b",
        "/lead",
        "//",
        "trail/",
        "50 %",
        "%2F",
        "../x",
        "x/..",
        "a/../b",
        "x/apply",
        "Größe 日本 🛰",
        "?#",
    ]
    for name in names:
        assert shard.post("/presets", {"name": name, "open": True}).json()["changed"] is True
    assert [one["name"] for one in shard.get("/presets").json()["presets"]] == sorted(names)
    for name in names:
        path = f"/presets/{quote(name, safe='')}"
        assert shard.post(f"{path}/apply").json()["preset"] == name
        assert shard.delete(path).json()["name"] == name
    assert shard.get("/presets").json()["presets"] == []


# -- what is refused


OWN = [{"id": 1, "name": "A"}]
BAD: list[tuple[Preset, str, str]] = [
    ({"nets": {}}, "invalid_value", "nets"),
    ({"nets": [{"id": 1}]}, "invalid_value", "nets[0].name"),
    ({"nets": [{"name": "n" * 65}]}, "invalid_value", "nets[0].name"),
    ({"nets": [{"name": ".."}]}, "invalid_value", "nets[0].name"),
    ({"nets": [{"name": "A", "id": 0}]}, "invalid_value", "nets[0].id"),
    ({"nets": [{"name": "A", "id": "1"}]}, "invalid_value", "nets[0].id"),
    ({"nets": [{"name": "A", "netUid": "n" * 65}]}, "invalid_value", "nets[0].netUid"),
    ({"nets": [{"name": "A", "netUid": GONE, "uid": "net_b"}]}, "net_mismatch", "nets[0].uid"),
    ({"nets": [{"name": "A"}] * 51}, "invalid_value", "nets"),
    ({"nets": OWN * 2}, "invalid_value", "nets[1].id"),
    (
        {"nets": [{"name": "A", "netUid": GONE}, {"name": "B", "uid": GONE}]},
        "invalid_value",
        "nets[1].netUid",
    ),
    ({"nets": [{"name": "A", "netUid": "net_public"}]}, "net_protected", "nets[0].netUid"),
    ({"nets": [{"name": "A", "id": 250}]}, "net_protected", "nets[0].id"),
    ({"assignments": "7"}, "invalid_value", "assignments"),
    ({"assignments": [{"userId": "7"}]}, "invalid_value", "assignments[0].netUid"),
    ({"assignments": [{"userId": "7", "netId": 9}]}, "net_not_found", "assignments[0].netId"),
    ({"assignments": [{"userId": "a b", "netId": 1}]}, "invalid_value", "assignments[0].userId"),
    ({"assignments": [{"userId": "7", "netId": 255}]}, "net_protected", "assignments[0].netId"),
    ({"assignments": [{"userId": "7", "netUid": "net_global"}]}, "net_protected", "assignments[0].netUid"),
    ({"assignments": {"7": [9]}}, "net_not_found", "assignments.7[0].netId"),
    ({"assignments": {"7": 1}}, "invalid_value", "assignments[...]"),
    ({"assignments": {"7": [""]}}, "invalid_value", "assignments[...][0]"),
    ({"assignments": {"a b": [1]}}, "invalid_value", ""),
    (
        {"assignments": [{"userId": "7", "netUid": GONE, "action": "unassign"}]},
        "invalid_value",
        "assignments[0].action",
    ),
    (
        {"nets": OWN, "assignments": [{"userId": "7", "netId": 1, "netUid": GONE}]},
        "net_mismatch",
        "assignments[0].netUid",
    ),
    ({"open": "yes"}, "invalid_value", "open"),
    ({"rules": [{"roleId": "5"}]}, "invalid_value", "rules[0].netUids"),
    ({"rules": [{"roleId": "5", "netIds": [9]}]}, "net_not_found", "rules[0].netId"),
    ({"rules": [{"roleId": "5", "netId": 250}]}, "net_protected", "rules[0].netId"),
    ({"rules": [{"roleId": "", "netUids": []}]}, "invalid_value", "rules[0].roleId"),
    ({"rules": [{"roleId": "5", "netUids": [""]}]}, "invalid_value", "rules[0].netUid"),
    (
        {"nets": OWN, "rules": [{"roleId": "5", "netUids": [GONE], "netIds": [1]}]},
        "net_mismatch",
        "rules[0].netIds",
    ),
    ({"rules": [{"roleId": "5", "netUids": []}] * 201}, "invalid_value", "rules"),
    ({"rules": [{"roleId": "5", "netUids": [GONE] * 51}]}, "invalid_value", "rules[0].netUids"),
    ({"features": {"nosuch": True}}, "invalid_value", "features.nosuch"),
    ({"features": {"maxNets": 51}}, "invalid_value", "features.maxNets"),
    ({"features": {"maxNets": "9"}}, "invalid_value", "features.maxNets"),
    ({"features": {"orgLink": {"netId": 9}}}, "net_not_found", "features.orgLink.netId"),
    ({"features": {"publicNet": {"roleIds": ["5"] * 51}}}, "invalid_value", "features.publicNet.roleIds"),
]


@pytest.mark.parametrize(("members", "code", "path"), BAD, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_refused_and_what_was_kept_stays(
    shared: FlaskClient, members: Preset, code: str, path: str
) -> None:
    kept = save(shared, open=True)
    refused = problem(shared.post(PRESETS, json={"name": "Friday", **members}), code)
    if path:
        assert refused["errors"][0]["path"] == path
    assert listed(shared) == [kept]
    said(shared.delete(path_of("Friday")))


def test_no_more_assignments_than_a_bound(shared: FlaskClient) -> None:
    nets = [{"id": number, "name": "N"} for number in range(1, 51)]
    users = {str(user): list(range(1, 51)) for user in range(100)}
    assert len(save(shared, nets=nets, assignments=users)["assignmentList"]) == 5000
    refused = shared.post(PRESETS, json={"name": "B", "nets": nets, "assignments": {**users, "x": [1]}})
    assert problem(refused, "invalid_value")["errors"][0]["path"] == "assignments"
    said(shared.delete(path_of("Friday")))


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"name": "a", "x": "\xff"}', b'{"name": "a", "x": 1e999}'])
def test_what_is_not_json_through_and_through_is_refused(shared: FlaskClient, data: bytes) -> None:
    assert shared.post(PRESETS, data=data).status_code == 400 and listed(shared) == []


@pytest.mark.parametrize("depth", [100, 900, 1100, 100_000])
def test_a_further_member_of_any_depth_is_kept_or_refused(shared: FlaskClient, depth: int) -> None:
    answer = shared.post(PRESETS, data=b'{"name": "a", "deep": ' + b"[" * depth + b"]" * depth + b"}")
    if answer.status_code == 200:
        said(shared.post(f"{PRESETS}/a/apply"))
        assert answer.data[answer.data.index(b'{"name"') : -2] in shared.get(PRESETS).data
        said(shared.delete(f"{PRESETS}/a"))
    else:
        problem(answer, "malformed_json")
        assert listed(shared) == []


def test_there_are_at_most_500(app: ShardApp, client: FlaskClient) -> None:
    def fill() -> None:
        for number in range(499):
            models.keep(app.shard.guild_id, f"P{number}", "{}")

    app.shard.writer.write(fill)
    save(client, "P499")
    refused = problem(client.post(PRESETS, json={"name": "P500"}), "too_many_presets")
    assert "500" in refused["error"]
    said(client.post(PRESETS, json={"name": "P499", "open": True}))
    said(client.delete(path_of("P0")))
    said(client.post(PRESETS, json={"name": "P500"}))


# -- scopes


@pytest.mark.parametrize(
    ("carried", "scope"),
    [({"rules": [{"roleId": "5", "netUids": []}]}, "write:rules"), ({"features": {}}, "manage:features")],
)
def test_what_a_preset_carries_needs_its_scope_at_save_and_at_apply(
    app: ShardApp, client: FlaskClient, carried: Preset, scope: str
) -> None:
    without, enough = client_of(app, "write:presets"), client_of(app, "write:presets", scope)
    refused = problem(without.post(PRESETS, json={"name": "Friday", **carried}), "missing_scope")
    assert scope in refused["error"] and scope in refused["hint"] and listed(client) == []
    save(enough, **carried)
    for query in ("", "?dryRun=true"):
        assert scope in problem(without.post(path_of("Friday", f"/apply{query}")), "missing_scope")["error"]
        said(enough.post(path_of("Friday", f"/apply{query}")))
    said(without.delete(path_of("Friday")))


def test_an_empty_list_of_rules_needs_no_further_scope(app: ShardApp) -> None:
    client = client_of(app, "write:presets")
    assert save(client, rules=[])["rules"] == []
    said(client.post(path_of("Friday", "/apply")))


# -- write options


def test_presets_have_an_etag_of_their_own_that_writes_may_name(app: ShardApp, client: FlaskClient) -> None:
    assert client.get(PRESETS).headers["ETag"] == '"0"'
    save(client)
    tag = client.get(PRESETS).headers["ETag"]
    net(client)
    assert client.get(PRESETS, headers={"If-None-Match": tag}).status_code == 304
    stale, fresh = {"If-Match": '"0"'}, {"If-Match": tag}
    for answer in (
        client.post(PRESETS, json={"name": "B"}, headers=stale),
        client.delete(path_of("Friday"), headers=stale),
        client.post(f"{PRESETS}?dryRun=true", json={"name": "B"}, headers=stale),
    ):
        problem(answer, "precondition_failed")
    said(client.post(PRESETS, json={"name": "B"}, headers=fresh))
    problem(client.post(PRESETS, json={"name": "C"}, headers=fresh), "precondition_failed")
    said(client.post(PRESETS, json={"name": "C"}, headers={"If-Match": "*"}))
    assert client.get(PRESETS, headers={"If-None-Match": tag}).headers["ETag"] == '"3"'


def test_an_apply_rests_on_the_version_of_the_config(client: FlaskClient) -> None:
    save(client, open=True)
    problem(client.post(path_of("Friday", "/apply"), headers={"If-Match": '"5"'}), "precondition_failed")
    assert said(client.post(path_of("Friday", "/apply"), headers={"If-Match": '"0"'}))["version"] == 1


def test_saving_and_deleting_leave_the_version_and_are_told(app: ShardApp, client: FlaskClient) -> None:
    net(client)
    save(client)
    assert said(client.post(PRESETS, json={"name": "Friday"}))["changed"] is False
    gone = said(client.delete(path_of("Friday")))
    assert (gone["action"], gone["changed"], gone["version"]) == ("preset.remove", True, 1)
    assert told(app)[1:] == [
        ("config.changed", {"action": "preset.save", "version": 1, "preset": "Friday"}),
        ("config.changed", {"action": "preset.remove", "version": 1, "preset": "Friday"}),
    ]


def test_a_dry_run_of_a_save_or_a_delete_keeps_all(app: ShardApp, client: FlaskClient) -> None:
    kept = save(client)
    new = said(client.post(f"{PRESETS}?dryRun=true", json={"name": "B", "open": True}))
    assert (new["changed"], new["dryRun"], new["preset"]["open"]) == (True, True, True)
    assert said(client.delete(path_of("Friday", "?dryRun=true")))["changed"] is True
    assert listed(client) == [kept] and len(told(app)) == 1
    problem(client.delete(path_of("Nobody", "?dryRun=true")), "preset_not_found")


def test_a_repeat_with_its_key_is_answered_as_before(app: ShardApp, client: FlaskClient) -> None:
    save(client, nets=[{"name": "A"}])
    first, again = (
        client.post(path_of("Friday", "/apply"), headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert first.data == again.data and again.headers["Idempotent-Replayed"] == "true"
    assert len(app.shard.guild.nets) == 1


def test_guilds_do_not_see_each_others_presets(make_app: Callable[..., ShardApp]) -> None:
    one, other = (client_of(make_app(GUILD__ID=guild)) for guild in ("1", "2"))
    save(one)
    assert listed(other) == [] and other.get(PRESETS).headers["ETag"] == '"0"'
    problem(other.delete(path_of("Friday")), "preset_not_found")
    assert len(listed(one)) == 1


def test_presets_outlive_a_restart(make_app: Callable[..., ShardApp]) -> None:
    kept = save(client_of(make_app()), nets=[{"name": "A"}])
    assert listed(client_of(make_app())) == [kept]


def test_two_saves_of_one_name_at_once_leave_one_preset(app: ShardApp, client: FlaskClient) -> None:
    both = [
        gevent.spawn(client_of(app).post, PRESETS, json={"name": "Same", "open": value})
        for value in (True, False)
    ]
    assert [one.get(timeout=10).status_code for one in both] == [200, 200] and len(listed(client)) == 1
