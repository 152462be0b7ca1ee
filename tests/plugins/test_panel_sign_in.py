"""Signing in to the panel: links that work once, the password, cookies, and what no other site's page can do."""

import html
import json
from collections.abc import Callable, Iterator

import pytest
from panels import HERE, PAGE, SIGN_IN, Visitor, cleared, field, living, opened

from shardapi import ShardApp, clock
from shardapi_panel import door as doors
from shardapi_panel.guard import SESSIONS

PASSWORD = "correct horse battery"
MINUTE = 60_000
ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """One for all tests here."""
    yield from opened(tmp_path_factory.mktemp("shard"))


@pytest.fixture
def visitor(app: ShardApp) -> Visitor:
    """Somebody who is not signed in."""
    return cleared(app)


def later(monkeypatch: pytest.MonkeyPatch, ms: int) -> None:
    """Let time pass."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + ms)


def audited(app: ShardApp) -> list[tuple[str, str, int]]:
    """Who did what in the audit, and how it went."""
    app.shard.audit.flush()
    found = Visitor(app).sign_in("reader").client.get("/panel/api/audit").json
    assert found is not None
    return [(one["keyName"], one["path"], one["status"]) for one in found["entries"]][::-1]


# -- links


def test_a_link_signs_in_once(visitor: Visitor) -> None:
    link = visitor.door.make_link("Ann")
    assert visitor.send(SIGN_IN, token=link, next="/panel/keys").headers["Location"] == "/panel/keys"
    assert ">Ann<" in visitor.get("/panel/keys").text
    again = Visitor(visitor.app).send(SIGN_IN, token=link)
    assert (again.status_code, "has been used" in again.text) == (401, True)


def test_a_whole_link_may_be_pasted_where_no_script_moves_it(visitor: Visitor) -> None:
    link = f"  https://shard.example.com{SIGN_IN}#{visitor.door.make_link()}\n"
    assert visitor.send(SIGN_IN, token=link).status_code == 303


def test_a_link_ends_after_ten_minutes(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    good, late = visitor.door.make_link(), visitor.door.make_link()
    later(monkeypatch, 9 * MINUTE)
    assert visitor.send(SIGN_IN, token=good).status_code == 303
    later(monkeypatch, MINUTE)
    assert visitor.send(SIGN_IN, token=late).status_code == 401


def test_a_chat_that_looks_at_a_link_uses_nothing_up(visitor: Visitor) -> None:
    link = visitor.door.make_link()
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in (SIGN_IN, f"{SIGN_IN}?token={link}", f"{SIGN_IN}?token={link}&next=/panel/keys"):
            looked = visitor.client.open(path, method=method, headers={"User-Agent": "Discordbot/2.0"})
            assert looked.status_code == 200 and "Set-Cookie" not in looked.headers
    assert visitor.send(SIGN_IN, token=link).status_code == 303


def test_a_link_says_who_and_the_audit_names_them(visitor: Visitor) -> None:
    visitor.sign_in("Ann")
    assert ("panel: Ann", "/panel/sign-in/link", 200) in audited(visitor.app)


def test_a_link_is_nowhere_in_clear(visitor: Visitor) -> None:
    link = visitor.door.make_link()
    visitor.send(SIGN_IN, token=link + "x")
    visitor.send(SIGN_IN, token=link)
    visitor.app.shard.audit.flush()
    visitor.app.shard.writer.write(lambda: None)
    store = visitor.app.shard.store.folder
    found = [path.name for path in store.iterdir() if path.is_file() and link.encode() in path.read_bytes()]
    assert found == []


# -- the password


def test_a_password_signs_in(visitor: Visitor) -> None:
    assert 'id="password"' not in visitor.get(SIGN_IN).text
    visitor.door.set_password(PASSWORD)
    assert 'id="password"' in visitor.get(SIGN_IN).text
    assert visitor.send(SIGN_IN, password=PASSWORD + "x").status_code == 401
    assert visitor.send(SIGN_IN, password=PASSWORD).status_code == 303
    assert ("", SIGN_IN, 401) in audited(visitor.app)


def test_no_password_opens_where_none_is_set(visitor: Visitor) -> None:
    for given in ("", "x", "None"):
        assert visitor.send(SIGN_IN, password=given).status_code == 401


def test_guessing_is_slowed_and_never_shuts_out_a_link(visitor: Visitor) -> None:
    visitor.door.set_password(PASSWORD)
    tried = [visitor.send(SIGN_IN, password=f"guess {number}") for number in range(doors.FROM_ONE.count + 1)]
    assert [one.status_code for one in tried] == [401] * doors.FROM_ONE.count + [429]
    assert 0 < int(tried[-1].headers["Retry-After"]) <= doors.FROM_ONE.seconds + 1
    assert "panel link" in tried[-1].text
    assert visitor.send(SIGN_IN, password=PASSWORD).status_code == 429  # else it would tell a good guess
    assert visitor.send(SIGN_IN, token=visitor.door.make_link()).status_code == 303


def test_guessing_from_many_addresses_is_slowed_too(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_matches", lambda kept, password: False)  # the hash itself takes long
    visitor.door.set_password(PASSWORD)
    codes = []
    for number in range(doors.IN_ALL.count + 2):
        visitor.client.environ_base["REMOTE_ADDR"] = f"2001:db8:{number:x}::1"
        codes.append(visitor.send(SIGN_IN, password="guess").status_code)
    assert codes == [401] * doors.IN_ALL.count + [429] * 2


def test_right_passwords_are_not_counted(visitor: Visitor) -> None:
    visitor.door.set_password(PASSWORD)
    for _ in range(doors.FROM_ONE.count + 1):
        assert visitor.send(SIGN_IN, password=PASSWORD).status_code == 303


# -- the session and its cookie


def test_the_session_is_a_new_one_after_signing_in(visitor: Visitor) -> None:
    visitor.sign_in()
    planted = visitor.cookie
    mallory = Visitor(visitor.app)
    mallory.client.set_cookie("shardapi_panel", planted, path="/panel")
    visitor.sign_in("Ann again")
    assert visitor.cookie != planted
    assert mallory.get("/panel/sessions").status_code == 302  # what was known before opens nothing any more
    assert len(visitor.app.extensions[SESSIONS].all()) == 1


def test_a_made_up_session_opens_nothing(visitor: Visitor) -> None:
    visitor.client.set_cookie("shardapi_panel", "eyJpZCI6ImEifQ.aaaaaa.bbbbbb", path="/panel")
    assert visitor.get("/panel/sessions").status_code == 302


@pytest.mark.parametrize(
    ("where", "secure"),
    [
        ({}, False),
        ({"SHARDAPI_SERVER__BIND": "[::1]:25588"}, False),
        ({"SHARDAPI_SERVER__BIND": "0.0.0.0:25588"}, True),
        ({"SHARDAPI_SERVER__PUBLIC_URL": "https://localhost"}, True),
        ({"SHARDAPI_SERVER__PUBLIC_URL": "http://shard.example.com"}, True),
    ],
)
def test_a_cookie_goes_nowhere_else(
    start_app: Callable[..., ShardApp], where: dict[str, str], secure: bool
) -> None:
    visitor = Visitor(start_app(env=where))
    host = where.get("SHARDAPI_SERVER__PUBLIC_URL", HERE).partition("://")[2]
    answer = visitor.send(
        SIGN_IN, {"Host": host, "Sec-Fetch-Site": "same-origin"}, token=visitor.door.make_link()
    )
    name, *flags = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "Path=/panel", "SameSite=Strict"} <= set(flags)
    assert ("Secure" in flags) is secure and not any(flag.startswith("Domain") for flag in flags)


@pytest.mark.parametrize("path", [SIGN_IN, "/panel/keys", "/panel/keys/new", "/panel/nothing"])
def test_a_page_may_do_little_and_is_kept_nowhere(visitor: Visitor, path: str) -> None:
    answer = visitor.sign_in().get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Frame-Options"] == "DENY"
    assert "<style" not in answer.text and " style=" not in answer.text and " onclick=" not in answer.text


def test_who_is_not_signed_in_learns_nothing_of_the_shard(visitor: Visitor) -> None:
    page = visitor.get(SIGN_IN).text
    assert visitor.app.shard.guild.name not in page and visitor.app.shard.guild_id not in page


def test_every_page_needs_a_session(visitor: Visitor) -> None:
    rules = [rule for rule in visitor.app.url_map.iter_rules() if rule.endpoint.startswith("panel.")]
    assert len(rules) > 10
    opened = []
    for rule in rules:
        path = rule.rule.replace("<path:", "<").replace("<", "x").replace(">", "")
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            answer = visitor.client.open(path, method=method, headers=PAGE, data={})
            if answer.status_code not in (302, 401, 403):
                opened.append((rule.endpoint, method, answer.status_code))
    assert sorted(opened) == [("panel.sign_in", "GET", 200), ("panel.static", "GET", 404)]


# -- another site's page


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_page_of_another_site_changes_nothing(visitor: Visitor, elsewhere: dict[str, str]) -> None:
    visitor.sign_in()
    app, token = visitor.app, visitor.token()
    before = app.shard.guild.version, len(app.shard.keys.all()), len(app.extensions[SESSIONS].all())
    changes = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("panel.")]
    for rule in changes:
        path = rule.rule.replace("<path:path>", "nets").replace("<", "").replace(">", "")
        for method in sorted((rule.methods or set()) & {"POST", "PATCH", "DELETE"}):
            for sent in ({}, {"csrf_token": token}):  # even if it had come by the token
                answer = visitor.client.open(
                    path,
                    method=method,
                    data={**sent, "name": "Strike", "bundle": "everything", "session": "others"},
                    headers={**PAGE, **elsewhere, "X-CSRF-Token": sent.get("csrf_token", "")},
                )
                assert answer.status_code == 403, (path, method)
    assert before == (app.shard.guild.version, len(app.shard.keys.all()), len(app.extensions[SESSIONS].all()))


@pytest.mark.parametrize("token", ["", "x", "another's"])
def test_a_change_needs_the_token_of_this_browser(visitor: Visitor, token: str) -> None:
    visitor.sign_in()
    before = visitor.app.shard.guild.version
    shown = Visitor(visitor.app).sign_in("Bea").token() if token == "another's" else token
    headers = {"X-CSRF-Token": shown, "Sec-Fetch-Site": "same-origin"}
    answer = visitor.client.post("/panel/api/nets", json={"name": "Strike"}, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "origin_refused")  # type: ignore[index]
    assert visitor.app.shard.guild.version == before


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/panelx", "/api/v1/status", "/panel\\evil", "/panel/\n"],
)
def test_signing_in_leads_nowhere_else(visitor: Visitor, target: str) -> None:
    answer = visitor.send(SIGN_IN, token=visitor.door.make_link(), next=target)
    assert answer.headers["Location"] == "/panel"


# -- nothing typed is lost


def test_a_session_that_ends_mid_edit_loses_nothing_typed(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.sign_in()
    typed = {
        "name": 'Raid <bot> & "co"',
        "kind": "owner",
        "bundle": "single",
        "scopes": ["read:status", "read:audit"],
    }
    token = visitor.token()
    later(monkeypatch, 13 * 60 * MINUTE)
    asked = visitor.send("/panel/keys/new", csrf_token=token, **typed)
    assert asked.status_code == 401 and "Your session has ended" in asked.text
    wrong = visitor.send(
        SIGN_IN, token="x", next=field(asked, "next"), kept=html.unescape(field(asked, "kept"))
    )
    assert wrong.status_code == 401
    on = visitor.send(
        SIGN_IN,
        token=visitor.door.make_link(),
        next=field(wrong, "next"),
        kept=html.unescape(field(wrong, "kept")),
    )
    assert on.status_code == 200 and 'action="/panel/keys/new"' in on.text
    assert living(visitor.app) == []  # not before they press the button
    kept = {
        **{name: html.unescape(field(on, name)) for name in ("name", "kind", "bundle")},
        "scopes": typed["scopes"],
    }
    assert kept == typed and on.text.count('name="scopes"') == 2
    made = visitor.send("/panel/keys/new", csrf_token=field(on, "csrf_token"), **kept)
    assert made.status_code == 303
    (key,) = living(visitor.app)
    assert (key.name, sorted(key.scopes)) == (typed["name"], ["read:audit", "read:status"])


def test_what_another_site_sent_does_not_go_on_after_signing_in(visitor: Visitor) -> None:
    for headers in ELSEWHERE:
        answer = visitor.send("/panel/keys/new", headers, name="Theirs", bundle="everything", kind="owner")
        assert answer.status_code == 403 and "Theirs" not in answer.text


def test_a_form_that_grew_old_goes_on_after_a_click(visitor: Visitor) -> None:
    visitor.sign_in()
    old = visitor.token()
    visitor.sign_in("Ann again")
    answer = visitor.send("/panel/keys/new", csrf_token=old, name="Raid bot", kind="owner", bundle="bot")
    assert answer.status_code == 200 and field(answer, "name") == "Raid bot"
    assert living(visitor.app) == []


def test_a_page_that_was_asked_for_comes_after_signing_in(visitor: Visitor) -> None:
    asked = visitor.get("/panel/keys?page=2")
    where = asked.headers["Location"]
    assert where.startswith(SIGN_IN)
    target = html.unescape(field(visitor.get(where), "next"))
    on = visitor.send(SIGN_IN, token=visitor.door.make_link(), next=target)
    assert on.headers["Location"] == "/panel/keys?page=2"


def test_a_script_signs_in_without_leaving_its_page(visitor: Visitor) -> None:
    script = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
    refused = visitor.client.get("/panel/api/status", headers=script)
    assert (refused.status_code, refused.json["code"]) == (401, "unauthorized")  # type: ignore[index]
    wrong = visitor.client.post(SIGN_IN, data={"token": "x"}, headers=script)
    assert (wrong.status_code, wrong.json["code"]) == (401, "unauthorized")  # type: ignore[index]
    entered = visitor.client.post(SIGN_IN, data={"token": visitor.door.make_link()}, headers=script)
    headers = {**script, "X-CSRF-Token": json.loads(entered.text)["csrfToken"]}
    made = visitor.client.post("/panel/api/nets", json={"name": "Strike"}, headers=headers)
    assert made.status_code == 200
