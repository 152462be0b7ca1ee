"""Keys and operator tokens in the panel: made, shown once, revoked, each with its row in the audit."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apps import API, client_with, join
from panels import PAGE, Visitor, cleared, field, living, opened

from shardapi import ShardApp, clock
from shardapi.auth import BUNDLES
from shardapi.models import Audit
from shardapi_panel.once import Once

NEW = "/panel/keys/new"
TOKENS = "/panel/operator-tokens"
MINUTE = 60_000


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """One for all tests here."""
    yield from opened(tmp_path_factory.mktemp("shard"))


@pytest.fixture
def ann(app: ShardApp) -> Visitor:
    """Somebody who has just signed in."""
    return cleared(app).sign_in("Ann")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets time pass."""
    began = clock.now()
    return lambda ms: monkeypatch.setattr(clock, "now", lambda: began + ms)


def make(visitor: Visitor, **fields: object) -> str:
    """Make a key; returns the page that shows it."""
    form = {"name": "Raid bot", "kind": "owner", "bundle": "single", **fields}
    page = visitor.get(NEW)
    answer = visitor.send(NEW, csrf_token=field(page, "csrf_token"), _form=field(page, "_form"), **form)
    assert answer.status_code == 303, re.findall(r'class="wrong"[^>]*>([^<]*)', answer.text)
    return answer.headers["Location"]


def shown(text: str, name: str = "secret") -> str:
    """What a page shows to be copied; "" for nothing."""
    found = re.search(rf'<pre id="{name}"[^>]*>([^<]*)</pre>', text)
    return html.unescape(found[1]) if found else ""


def audited(app: ShardApp) -> list[tuple[str, str, str]]:
    """The last rows of the audit, the newest first."""
    app.shard.audit.flush()
    rows = app.shard.store.read(lambda: list(Audit.select().order_by(Audit.id.desc()).limit(100)))
    return [(row.key_id, row.key_name, row.path) for row in rows]


# -- keys


def test_a_key_that_is_made_opens_what_was_chosen(ann: Visitor) -> None:
    page = ann.get(make(ann, scopes=["read:status", "write:nets"])).text
    bot = client_with(ann.app, shown(page))
    assert bot.get(f"{API}/status").status_code == 200
    assert bot.post(f"{API}/nets", json={"name": "Strike"}).status_code == 200
    assert bot.get(f"{API}/roster").status_code == 403
    (key,) = living(ann.app)
    assert (key.name, key.kind, key.expires_at) == ("Raid bot", "owner", 0)
    assert ("panel", "panel: Ann", f"/panel/keys/{key.id}") in audited(ann.app)


@pytest.mark.parametrize("bundle", [*BUNDLES, "everything"])
def test_a_bundle_is_what_the_reference_says(ann: Visitor, bundle: str) -> None:
    make(ann, bundle=bundle)
    (key,) = living(ann.app)
    assert key.scopes == frozenset(BUNDLES.get(bundle, ann.app.shard.plugins.all_scopes))


def test_a_bundle_and_single_scopes_add_up(ann: Visitor) -> None:
    make(ann, bundle="dashboard", scopes=["read:audit"])
    assert living(ann.app)[0].scopes == frozenset((*BUNDLES["dashboard"], "read:audit"))


def test_every_scope_says_what_it_allows(ann: Visitor) -> None:
    page = html.unescape(ann.get(NEW).text)
    for scope in ann.app.shard.plugins.all_scopes:
        assert re.search(rf"<code>{scope}</code> <span class=\"hint\">\w+", page), scope


def test_a_service_key_listens_and_has_no_scopes(ann: Visitor) -> None:
    page = ann.get(make(ann, kind="service")).text
    (key,) = living(ann.app)
    assert (key.kind, key.scopes) == ("service", frozenset())
    assert shown(page).startswith("scsk_") and key.id in page


def test_a_key_ends_after_its_days(ann: Visitor, later: Callable[[int], None]) -> None:
    make(ann, bundle="bot", days="7")
    (key,) = living(ann.app)
    assert key.expires_at - key.created_at == pytest.approx(7 * 86_400_000, abs=1000)
    later(8 * 86_400_000)
    assert "expired" in ann.sign_in().get("/panel/keys").text


def test_a_secret_is_shown_once_and_a_reload_makes_no_other_key(ann: Visitor) -> None:
    place = make(ann, bundle="bot")
    assert ann.client.head(place, headers=PAGE).status_code == 200  # which shows nothing, and uses nothing up
    first, again = ann.get(place), ann.get(place)
    secret = shown(first.text)
    assert secret.startswith("scok_") and first.headers["Cache-Control"] == "no-store"
    assert shown(again.text) == "" and "shown once" in again.text and secret not in again.text
    assert len(living(ann.app)) == 1 and secret not in place
    assert shown(first.text, "line").startswith(f'curl -H "Authorization: Bearer {secret}" http://')


def test_a_form_that_is_sent_twice_makes_one_key(ann: Visitor) -> None:
    page = ann.get(NEW)
    form = {name: field(page, name) for name in ("csrf_token", "_form")}
    places = {
        ann.send(NEW, **form, name="Raid bot", kind="owner", bundle="bot").headers["Location"]
        for _ in range(2)
    }
    assert len(places) == len(living(ann.app)) == 1


def test_another_session_never_sees_the_secret(ann: Visitor) -> None:
    place = make(ann, bundle="bot")
    assert shown(Visitor(ann.app).sign_in("Bea").get(place).text) == ""
    assert shown(ann.get(place).text)


def test_a_secret_that_nobody_fetched_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    once, now = Once(), 100.0
    monkeypatch.setattr("shardapi_panel.once.time.monotonic", lambda: now)
    once.put("a", "key_1", "secret", "")
    now += 61
    assert once.take("a", "key_1") == ""


def test_a_secret_is_nowhere_in_the_data_folder(ann: Visitor) -> None:
    secret = shown(ann.get(make(ann, bundle="bot")).text)
    token = mint(ann)[1]
    ann.app.shard.audit.flush()
    files = [path for path in Path(ann.app.shard.store.folder).rglob("*") if path.is_file()]
    assert files
    for one in (secret, token):
        assert [path.name for path in files if one.encode() in path.read_bytes()] == []


def test_a_name_may_have_joiners_and_marks_of_direction(ann: Visitor) -> None:
    name = "می\u200cخواهم \u200f👩\u200d🚀"
    made = ann.post(NEW, name=name, kind="owner", bundle="bot")
    assert made.status_code == 303 and name in [key.name for key in living(ann.app)]
    token = ann.post("/panel/operator-tokens", user_id="7", name=name, days="1")
    assert token.status_code == 303 and name in ann.get(token.headers["Location"]).text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "1 to 64 characters"),
        ({"name": "x" * 65}, "1 to 64 characters"),
        ({"name": "a\u0007b"}, "a control character"),
        ({"days": "0"}, "1 to 3650 days"),
        ({"days": "soon"}, "1 to 3650 days"),
        ({"bundle": "single", "scopes": []}, "at least one scope"),
        ({"kind": "service"}, "has no scopes"),
        ({"bundle": "everyone"}, "alid choice"),
        ({"scopes": ["read:minds"]}, "read:minds"),
    ],
)
def test_what_is_wrong_is_said_beside_it_and_nothing_is_lost(
    ann: Visitor, fields: dict[str, object], says: str
) -> None:
    form = {"name": "Raid <bot>", "kind": "owner", "bundle": "bot", "days": "30", "scopes": ["read:audit"]}
    answer = ann.post(NEW, **{**form, **fields})
    wrong = " ".join(html.unescape(one) for one in re.findall(r'class="wrong"[^>]*>([^<]*)', answer.text))
    assert answer.status_code == 400 and says in wrong, wrong
    assert living(ann.app) == []
    if "name" not in fields:
        assert 'value="Raid &lt;bot&gt;"' in answer.text
    if "scopes" not in fields:
        assert re.search(r'value="read:audit" checked', answer.text)


def test_making_a_key_needs_a_sign_in_of_the_last_ten_minutes(
    ann: Visitor, later: Callable[[int], None]
) -> None:
    later(9 * MINUTE)
    make(ann, bundle="bot")
    later(11 * MINUTE)
    for path, form in (
        (NEW, {"name": "Late", "kind": "owner", "bundle": "bot"}),
        (TOKENS, {"user_id": "7", "name": "Late", "days": "1"}),
    ):
        asked = ann.post(path, **form)
        assert asked.status_code == 401 and "last ten minutes" in asked.text
        on = ann.send(
            "/panel/sign-in",
            token=ann.door.make_link("Ann"),
            next=field(asked, "next"),
            kept=html.unescape(field(asked, "kept")),
        )
        assert field(on, "name") == "Late" and f'action="{path}"' in on.text
        assert ann.send(path, csrf_token=field(on, "csrf_token"), **form).status_code == 303
        later(11 * MINUTE * 2)
    assert [key.name for key in living(ann.app)] == ["Raid bot", "Late"]


def test_a_key_is_revoked_after_a_question(ann: Visitor) -> None:
    secret = shown(ann.get(make(ann, bundle="dashboard")).text)
    bot = client_with(ann.app, secret)
    assert bot.get(f"{API}/status").status_code == 200
    (key,) = living(ann.app)
    assert "cannot be undone" in ann.get(f"/panel/keys/{key.id}/revoke").text
    assert living(ann.app)
    told = ann.client.post(
        f"/panel/keys/{key.id}/revoke",
        data={"csrf_token": ann.token()},
        headers=PAGE,
        follow_redirects=True,
    )
    assert "is revoked" in told.text
    assert bot.get(f"{API}/status").status_code == 401
    assert ("panel", "panel: Ann", f"/panel/keys/{key.id}/revoke") in audited(ann.app)
    assert ann.get("/panel/keys/key_none").status_code == 404
    assert ann.post("/panel/keys/key_none/revoke").status_code == 404


def test_keys_are_listed_with_their_last_use(ann: Visitor) -> None:
    secret = shown(ann.get(make(ann, bundle="dashboard")).text)
    assert '<span class="hint">never</span>' in ann.get("/panel/keys").text
    client_with(ann.app, secret).get(f"{API}/status")
    ann.app.shard.audit.flush()
    (key,) = living(ann.app)
    assert key.last_used_at
    assert clock.iso(key.last_used_at) in ann.get("/panel/keys").text


def test_many_keys_come_page_by_page(ann: Visitor) -> None:
    keys = ann.app.shard.keys
    names = [f"Bot {number:03}" for number in range(120)]
    ids = [keys.create(name, ["read:status"])[0].id for name in names]
    for one in ids[:30]:
        keys.revoke(one)
    seen, place = [], "/panel/keys"
    while place:
        page = ann.get(place).text
        seen.append(re.findall(r">(Bot \d{3})</a>", page))
        older = re.search(r'rel="next" href="([^"]+)"', page)
        place = html.unescape(older[1]) if older else ""
    assert [name for page in seen for name in page][:120] == names[:29:-1] + names[29::-1]
    assert all(len(page) <= 50 for page in seen)
    assert 'rel="prev"' in page and "Bot" not in ann.get("/panel/keys?page=99999999999999999999").text


# -- operator tokens


def mint(visitor: Visitor, **fields: object) -> tuple[str, str]:
    """Make an operator token; returns the place that shows it, and the token."""
    page = visitor.get(TOKENS)
    form = {"user_id": "7", "name": "Bea", "roles": "10, 11", "days": "3", **fields}
    answer = visitor.send(TOKENS, csrf_token=field(page, "csrf_token"), _form=field(page, "_form"), **form)
    assert answer.status_code == 303, answer.text
    place = answer.headers["Location"]
    return place, shown(visitor.get(place).text, "token")


def test_a_token_says_who_and_is_shown_once(ann: Visitor) -> None:
    place, token = mint(ann)
    said = ann.app.shard.central.operator(token)
    assert (said.user_id, said.display_name, said.roles) == ("7", "Bea", ("10", "11"))
    assert shown(ann.get(place).text, "token") == "" and token not in place
    assert ("panel", "panel: Ann", f"{TOKENS}/7") in audited(ann.app)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"user_id": "a b"}, "A user id is"),
        ({"user_id": ""}, "A user id is"),
        ({"name": " "}, "1 to 64 characters"),
        ({"roles": "10, <b>"}, "is no role id"),
        ({"days": ""}, "number of days"),
        ({"days": "4000"}, "1 to 3650 days"),
    ],
)
def test_a_token_that_would_not_do_is_not_made(ann: Visitor, fields: dict[str, str], says: str) -> None:
    form = {"user_id": "7", "name": "Bea", "roles": "10", "days": "3", **fields}
    answer = ann.post(TOKENS, **form)
    wrong = " ".join(re.findall(r'class="wrong"[^>]*>([^<]*)', answer.text))
    assert answer.status_code == 400 and says in wrong


@pytest.mark.parametrize(("whose", "left"), [({"user_id": "7"}, False), ({"whose": "all"}, True)])
def test_tokens_are_revoked_for_one_or_for_all_after_a_question(
    ann: Visitor, whose: dict[str, str], left: bool
) -> None:
    operators, central = ann.app.shard.operators, ann.app.shard.central
    tokens = [mint(ann, user_id=user)[1] for user in ("7", "8")]
    assert "?" in ann.post(f"{TOKENS}/revoke", **whose).text
    assert [operators.revoked(central.operator(token)) for token in tokens] == [False, False]
    assert ann.post(f"{TOKENS}/revoke", **whose, sure="yes").status_code == 303
    assert [operators.revoked(central.operator(token)) for token in tokens] == [True, left]
    path = f"{TOKENS}/{whose.get('user_id', 'all')}/revoke"
    assert ("panel", "panel: Ann", path) in audited(ann.app)


def test_nobody_is_revoked_by_a_name_that_is_none(ann: Visitor) -> None:
    for given in ("", "  ", "a b"):
        answer = ann.post(f"{TOKENS}/revoke", user_id=given, sure="yes")
        assert answer.status_code == 400 and 'id="revoke-wrong"' in answer.text


def test_who_is_connected_is_offered(ann: Visitor) -> None:
    join(ann.app, "77", name="Zoe <3")
    assert '<option value="77">Zoe &lt;3</option>' in ann.get(TOKENS).text
