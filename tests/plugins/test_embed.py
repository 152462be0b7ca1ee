"""/public-token and /embed/status: what anyone may see with the link, and every link that shows nothing."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import API, client_of, client_with, join, problem, said
from click.testing import CliRunner
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

import shardapi_embed.live
from shardapi import ShardApp, clock, create_app
from shardapi.cli import main
from shardapi.commands import CreateNet, PublicNetChanges, SetOperation, SetPublicNet
from shardapi.config import ConfigError, load
from shardapi.testing import Server
from shardapi.tokens import LEEWAY_SECONDS, Tokens
from shardapi_embed.site import Site
from shardapi_embed.tokens import DAY_SECONDS, PURPOSE, REMEMBERED

STATUS, WIDGET = f"{API}/embed/status", f"{API}/embed/widget"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MakeApp = Callable[..., ShardApp]


@pytest.fixture
def anyone(app: ShardApp) -> FlaskClient:
    """A client without a key."""
    return client_with(app, "")


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """An app for what leaves no trace."""
    app = create_app(load(environ={}, data_dir=str(tmp_path_factory.mktemp("data"))))
    yield app
    app.shard.close()


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass for the snapshot."""
    now = [time.monotonic()]

    class Watch:
        monotonic = staticmethod(lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(shardapi_embed.live, "time", Watch)
    return wait


def site_of(app: ShardApp) -> Site:
    found: Site = app.extensions["embed"]
    return found


def token_of(app: ShardApp) -> str:
    """The token that is good now."""
    return site_of(app).tokens.mint().token


def status(app: ShardApp, token: str | None = None) -> TestResponse:
    """What anyone is answered."""
    given = token_of(app) if token is None else token
    return client_with(app, "").get(STATUS, query_string={"token": given})


# -- the links


def test_the_links_carry_one_token_that_stays_the_same(app: ShardApp, client: FlaskClient) -> None:
    answer = said(client.get(f"{API}/public-token"))
    token, base = answer["token"], "http://127.0.0.1:25588/api/v1/embed"
    assert answer == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "token": token,
        "statusUrl": f"{base}/status?token={token}",
        "widgetUrl": f"{base}/widget?token={token}",
        "expiresAt": "",
    }
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)
    assert said(client.get(f"{API}/public-token")) == answer


def test_the_links_are_of_the_public_url_and_never_of_the_host(make_app: MakeApp) -> None:
    plain = client_of(make_app()).get(f"{API}/public-token", headers={"Host": "evil.example"})
    assert "evil" not in plain.text
    client = client_of(make_app(SERVER__PUBLIC_URL="https://shard.example.com/comms/"))
    answer = said(client.get(f"{API}/public-token", headers={"Host": "shard.example.com"}))
    assert answer["widgetUrl"].startswith("https://shard.example.com/comms/api/v1/embed/widget?token=")


def test_the_links_lead_where_they_say(client: FlaskClient, anyone: FlaskClient) -> None:
    links = said(client.get(f"{API}/public-token"))
    said(anyone.get(links["statusUrl"]))
    assert anyone.get(links["widgetUrl"]).content_type == "text/html; charset=utf-8"


def test_a_key_needs_read_status_for_the_token(app: ShardApp) -> None:
    problem(client_of(app, "read:roster").get(f"{API}/public-token"), "missing_scope")
    problem(client_with(app, "").get(f"{API}/public-token"), "unauthorized")


# -- what it shows


def test_the_status_of_a_shard_at_work(app: ShardApp) -> None:
    app.shard.central.submit(
        [
            CreateNet(uid="net_a", name="Strike"),
            CreateNet(uid="net_b", name="Ünïcödé 🚀"),
            SetOperation(open=True),
            SetPublicNet(action="show", changes=PublicNetChanges(name="Rally")),
        ]
    )
    talker, _ = join(app, "1"), join(app, "2")
    app.shard.presence.key_up(talker, "net_public")
    answer = said(status(app))
    assert time.time() - clock_of(answer["updatedAt"]) < 20
    assert answer == {
        "ok": True,
        "guildId": app.shard.guild_id,
        "guildName": "Shard",
        "operationOpen": True,
        "connected": 2,
        "operators": 2,
        "publicNet": {
            "id": 250,
            "uid": "net_public",
            "netUid": "net_public",
            "name": "Rally",
            "enabled": True,
            "occupancy": 2,
        },
        "nets": [
            {"id": 1, "name": "Strike", "occupancy": 0, "tx": False, "uid": "net_a", "netUid": "net_a"},
            {"id": 2, "name": "Ünïcödé 🚀", "occupancy": 0, "tx": False, "uid": "net_b", "netUid": "net_b"},
            {
                **{"id": 250, "name": "Rally", "occupancy": 2, "tx": True},
                **{"uid": "net_public", "netUid": "net_public"},
                **{"virtual": True, "public": True, "protected": True},
            },
        ],
        "updatedAt": answer["updatedAt"],
    }


def clock_of(text: str) -> float:
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def test_a_new_shard_has_nothing_to_show(app: ShardApp) -> None:
    answer = said(status(app))
    assert (answer["operationOpen"], answer["connected"], answer["nets"]) == (False, 0, [])
    assert answer["publicNet"]["enabled"] is False and answer["publicNet"]["occupancy"] == 0


def test_service_listeners_are_in_no_number(app: ShardApp) -> None:
    app.shard.central.submit([SetPublicNet(action="show")])
    join(app, "svc", service=True)
    answer = said(status(app))
    assert (answer["connected"], answer["publicNet"]["occupancy"]) == (0, 0)


def test_nobody_is_named_in_any_answer(app: ShardApp, client: FlaskClient, anyone: FlaskClient) -> None:
    app.shard.central.submit([SetPublicNet(action="show"), SetOperation(open=True)])
    secret = join(app, "user-7d1c", "role-55e2", name="Zanzibar Quill")
    app.shard.presence.key_up(secret, "net_public")
    assert "Zanzibar Quill" in client.get(f"{API}/roster").text
    token = token_of(app)
    answers = [client.get(f"{API}/public-token")]
    for shown in (token, token[:-1], "", "nonsense"):
        answers += [
            anyone.get(path, query_string={"token": shown}, headers=headers)
            for path in (STATUS, WIDGET)
            for headers in ({}, BROWSER)
        ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [401] * 12
    for answer in answers:
        said_in_all = answer.text + str(answer.headers)
        for private in ("user-7d1c", "Zanzibar", "Quill", "role-55e2"):
            assert private not in said_in_all


# -- the snapshot


def test_it_is_a_second_old_at_most_and_made_once_a_second_at_most(
    app: ShardApp, turn: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = shardapi_embed.live.Live._look
    monkeypatch.setattr(shardapi_embed.live.Live, "_look", lambda self: looks.append(1) or look(self))
    first = said(status(app))
    join(app, "1")
    turn(0.999)
    for _ in range(20):
        assert said(status(app)) == first
    assert len(looks) == 1
    turn(0.001)
    assert said(status(app))["connected"] == 1
    assert len(looks) == 2


def test_a_moment_of_nothing_new_is_told_with_its_time(
    app: ShardApp, turn: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said(status(app))
    turn(1)
    monkeypatch.setattr(clock, "now", lambda: 1_900_000_000_000)
    assert said(status(app)) == {**first, "updatedAt": "2030-03-17T17:46:40.000Z"}


# -- for any page


def test_any_page_may_read_it_and_keep_it_five_seconds(app: ShardApp) -> None:
    answer = status(app)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, max-age=5"
    assert "Set-Cookie" not in answer.headers and "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("given", ["", "nonsense", "a.b", "\x00", "é" * 50, "." * 3000])
def test_any_page_may_read_why_not_and_nobody_keeps_that(app: ShardApp, given: str) -> None:
    answer = status(app, given)
    refused = problem(answer, "public_token_invalid")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "public-token" in refused["hint"]


def test_a_token_left_out_is_no_token(anyone: FlaskClient) -> None:
    for path in (STATUS, WIDGET):
        problem(anyone.get(path), "public_token_invalid")


def test_the_last_of_two_tokens_counts(app: ShardApp, anyone: FlaskClient) -> None:
    said(anyone.get(f"{STATUS}?token=nonsense&token={token_of(app)}"))


def test_a_key_opens_nothing_here(app: ShardApp, key: str) -> None:
    problem(client_of(app).get(STATUS), "public_token_invalid")
    problem(status(app, key), "public_token_invalid")


# -- tokens that were never ours


@settings(deadline=None)
@given(place=st.integers(min_value=0), letter=st.characters(codec="utf-8"))
def test_a_token_with_any_letter_changed_is_refused(lasting: ShardApp, place: int, letter: str) -> None:
    token = token_of(lasting)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token:
        said(status(lasting, changed))
    else:
        problem(status(lasting, changed), "public_token_invalid")


@settings(deadline=None)
@given(start=st.integers(0, 200), length=st.integers(0, 200), more=st.text(max_size=3))
def test_a_token_cut_or_lengthened_anywhere_is_refused(
    lasting: ShardApp, start: int, length: int, more: str
) -> None:
    token = token_of(lasting)
    changed = token[:start] + more + token[start + length :]
    if changed != token:
        problem(status(lasting, changed), "public_token_invalid")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_other_text_is_refused(lasting: ShardApp, text: str) -> None:
    problem(status(lasting, text), "public_token_invalid")


def test_the_token_of_another_guild_of_the_same_store_is_foreign(make_app: MakeApp) -> None:
    ours, theirs = make_app(GUILD__ID="1"), make_app(GUILD__ID="2")
    problem(status(ours, token_of(theirs)), "public_token_invalid")
    said(status(theirs, token_of(theirs)))


def test_the_token_of_another_shard_is_foreign(make_app: MakeApp, tmp_path: Path) -> None:
    ours = make_app(GUILD__ID="1")
    theirs = make_app(tmp_path / "other", GUILD__ID="1")
    assert token_of(ours) != token_of(theirs)
    problem(status(ours, token_of(theirs)), "public_token_invalid")


def test_an_operators_token_is_no_public_token(app: ShardApp) -> None:
    for purpose in ("operator", "embed", ""):
        said_in_it = {"guild": app.shard.guild_id, "generation": 1}
        problem(status(app, app.shard.tokens.sign(purpose, said_in_it)), "public_token_invalid")


@pytest.mark.parametrize(
    "payload", [{}, {"guild": "1"}, {"generation": 1}, {"guild": ["1"], "generation": 1}]
)
def test_a_token_that_says_less_is_refused(app: ShardApp, payload: dict[str, Any]) -> None:
    problem(status(app, app.shard.tokens.sign(PURPOSE, payload)), "public_token_invalid")


# -- tokens that were ours


def test_a_rotated_token_has_ended(app: ShardApp) -> None:
    old = token_of(app)
    said(status(app, old))
    site_of(app).tokens.rotate()
    answer = status(app, old)
    assert "replaced" in problem(answer, "public_token_ended")["error"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    new = token_of(app)
    said(status(app, new))
    site_of(app).tokens.rotate()
    for ended in (old, new):
        problem(status(app, ended), "public_token_ended")
    said(status(app))


def test_a_rotation_outlives_a_restart_and_leaves_other_guilds_alone(make_app: MakeApp) -> None:
    ours, theirs = make_app(GUILD__ID="1"), make_app(GUILD__ID="2")
    old, other = token_of(ours), token_of(theirs)
    site_of(ours).tokens.rotate()
    again = make_app(GUILD__ID="1")
    problem(status(again, old), "public_token_ended")
    assert token_of(again) == token_of(ours) != old
    assert token_of(make_app(GUILD__ID="2")) == other


def test_a_token_ends_by_itself_where_that_is_set(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000]  # 08:00 UTC
    monkeypatch.setattr(clock, "now", lambda: now[0] * 1000)
    app = make_app(PLUGINS__EMBED__TOKEN_DAYS="2")
    links = said(client_of(app).get(f"{API}/public-token"))
    assert links["expiresAt"] == "2027-01-18T00:00:00.000Z"
    ends = now[0] - now[0] % DAY_SECONDS + 3 * DAY_SECONDS
    now[0] += 3600
    assert token_of(app) == links["token"]
    now[0] += DAY_SECONDS
    assert token_of(app) != links["token"]
    now[0] = ends + LEEWAY_SECONDS
    said(status(app, links["token"]))
    now[0] += 1
    for _ in range(2):
        assert "expired" in problem(status(app, links["token"]), "public_token_ended")["error"]
    again = make_app(PLUGINS__EMBED__TOKEN_DAYS="2")
    problem(status(again, links["token"]), "public_token_ended")
    said(status(again))


def test_a_new_signing_secret_keeps_the_links_of_the_old_one(make_app: MakeApp) -> None:
    old = token_of(make_app(SIGNING_SECRET="old"))
    rotated = make_app(SIGNING_SECRET="new old")
    assert token_of(rotated) != old
    said(status(rotated, old))
    problem(status(make_app(SIGNING_SECRET="new"), old), "public_token_invalid")


def test_what_is_remembered_is_bounded(app: ShardApp) -> None:
    tokens = site_of(app).tokens
    for number in range(REMEMBERED + 10):
        said_in_it = {"guild": app.shard.guild_id, "generation": 1, "n": number}
        tokens.check(app.shard.tokens.sign(PURPOSE, said_in_it))
        assert len(tokens._good) <= REMEMBERED
    for wrong in range(REMEMBERED):
        problem(status(app, f"wrong-{wrong}"), "public_token_invalid")
    assert 0 < len(tokens._good) <= 10


# -- the command line


def test_the_commands_show_and_rotate_it(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(main, [*words, "--data-dir", str(tmp_path / "data")])
        assert done.exit_code == 0, done.output
        return done.stdout

    run("keys", "create", "bot", "--all-scopes")
    shown = run("public-token", "show")
    link = re.search(r"^widget   (\S+)$", shown, re.MULTILINE)
    assert link is not None and f'<iframe src="{link[1]}"' in shown and "expires  never" in shown
    assert run("public-token", "show") == shown
    assert link[1] not in run("public-token", "rotate")
    assert set(json.loads(run("public-token", "show", "--json"))) == {
        "token",
        "statusUrl",
        "widgetUrl",
        "expiresAt",
        "guildId",
    }
    before = json.loads(run("public-token", "show", "--json"))
    after = json.loads(run("public-token", "rotate", "--json"))
    assert before["token"] != after["token"] == json.loads(run("public-token", "show", "--json"))["token"]


def test_the_api_rotates_it_once_and_a_dry_run_shows_no_new_one(app: ShardApp, client: FlaskClient) -> None:
    old = said(client.get(f"{API}/public-token"))
    problem(client_of(app, "read:status").post(f"{API}/public-token/rotate"), "missing_scope")
    tried = said(client.post(f"{API}/public-token/rotate?dryRun=true"))
    assert tried["changed"] and (tried["token"], tried["statusUrl"], tried["widgetUrl"]) == ("", "", "")
    assert said(client.get(f"{API}/public-token")) == old
    again = {"Idempotency-Key": "once"}
    new = said(client.post(f"{API}/public-token/rotate", headers=again))
    assert said(client.post(f"{API}/public-token/rotate", headers=again)) == new
    links = ("token", "statusUrl", "widgetUrl", "expiresAt")
    assert {name: new[name] for name in links} == {
        name: said(client.get(f"{API}/public-token"))[name] for name in links
    }
    public = client_with(app, "")
    problem(public.get(f"{API}/embed/status", query_string={"token": old["token"]}), "public_token_ended")
    said(public.get(f"{API}/embed/status", query_string={"token": new["token"]}))


def test_a_rotation_by_another_process_acts_within_a_second(shard: Server, size: str) -> None:
    old = shard.get("/public-token").json()
    path = old["statusUrl"].removeprefix(shard.url)
    page = old["widgetUrl"].removeprefix(shard.url)
    assert shard.get(path, key="").status_code == shard.get(page, key="").status_code == 200
    new = shard.command("public-token", "rotate")
    most = {"ci": 10.0, "soak": 1.0}[size]  # the first beside other tests
    shard.wait(lambda: shard.get(path, key="").status_code == 410, "the old link to end", seconds=most)
    assert shard.get(page, key="").status_code == 410
    assert shard.get(page, key="", headers=BROWSER).status_code == 410
    now = shard.get("/public-token").json()
    assert now["token"] == new["token"]
    assert shard.get(now["statusUrl"].removeprefix(shard.url), key="").json()["ok"] is True


def test_no_log_and_no_audit_has_a_token(start_shard: Callable[..., Server]) -> None:
    server = start_shard()
    token = server.command("public-token", "show")["token"]
    for shown in (token, token[:-1], "secret-nonsense"):
        for path in ("/embed/status", "/embed/widget", "/embed/nowhere"):
            server.get(f"{path}?token={shown}", key="")
    entries = server.get("/audit").text
    server.stop()
    kept = "\n".join(server.log) + entries
    assert token[:-1] not in kept and "secret-nonsense" not in kept


def test_a_token_is_made_with_the_shards_secret_alone(make_app: MakeApp) -> None:
    app = make_app(SIGNING_SECRET="known", GUILD__ID="9")
    assert Tokens(["known"]).read(PURPOSE, token_of(app)) == {"guild": "9", "generation": 1}


# -- settings


@pytest.mark.parametrize(
    "setting",
    [
        {"TOKEN_DAYS": "-1"},
        {"TOKEN_DAYS": "soon"},
        {"FRAME_ANCESTORS": '["example.com; script-src *"]'},
        {"FRAME_ANCESTORS": '["https://a.example https://b.example"]'},
        {"FRAME_ANCESTORS": '["https://a.example\\n"]'},
        {"FRAME_ANCESTORS": '["javascript://a"]'},
        {"FRAMES": "1"},
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(make_app: MakeApp, setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.embed"):
        make_app(**{f"PLUGINS__EMBED__{name}": value for name, value in setting.items()})


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("[]", "'none'"),
        ('["https://www.example.com"]', "https://www.example.com"),
        ('["https://*.example.com", "http://localhost:*"]', "https://*.example.com http://localhost:*"),
    ],
)
def test_who_may_frame_the_widget_is_a_setting(make_app: MakeApp, given: str, policy: str) -> None:
    app = make_app(PLUGINS__EMBED__FRAME_ANCESTORS=given)
    answer = client_with(app, "").get(WIDGET, query_string={"token": token_of(app)})
    directives = answer.headers["Content-Security-Policy"].split("; ")
    assert f"frame-ancestors {policy}" in directives


@pytest.mark.parametrize("given", ['["*"]', '["https://www.example.com", "*"]'])
def test_where_any_site_may_frame_the_widget_no_policy_says_who(make_app: MakeApp, given: str) -> None:
    app = make_app(PLUGINS__EMBED__FRAME_ANCESTORS=given)
    answer = client_with(app, "").get(WIDGET, query_string={"token": token_of(app)})
    assert "frame-ancestors" not in answer.headers["Content-Security-Policy"]
