"""Calls from inside: they go through all that a call from outside goes through, as an actor that has no secret."""

from collections.abc import Iterator

import pytest
from apps import API, client_of
from msgspec import structs
from panels import Visitor, cleared, opened

from shardapi import ShardApp
from shardapi.inside import Inside, Reply
from shardapi.models import Audit
from shardapi_panel.api import Api, Refusal, actor, inside
from shardapi_panel.guard import guard


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardApp]:
    """One for all tests here."""
    yield from opened(tmp_path_factory.mktemp("shard"), SHARDAPI_PLUGINS__PANEL__LIMIT="40/hour")


@pytest.fixture
def ann(app: ShardApp) -> Visitor:
    """Somebody who is signed in."""
    return cleared(app).sign_in("Ann")


def ask(visitor: Visitor, method: str, path: str, **options: object) -> Reply:
    """One call as the panel's actor, in a request of this visitor."""
    with visitor.client as client:
        client.get("/panel/session", headers={"X-Request-Id": "outer-1"})
        found: Reply = inside().call(method, path, **options)  # type: ignore[arg-type]
        return found


def rows(app: ShardApp) -> list[tuple[str, str, str, int, str]]:
    """The audit, the newest first."""
    app.shard.audit.flush()
    found = app.shard.store.read(lambda: list(Audit.select().order_by(Audit.id.desc()).limit(20)))
    return [(one.key_id, one.key_name, one.path, one.status, one.request_id) for one in found]


def test_a_read_answers_what_it_answers_outside(ann: Visitor) -> None:
    outside = client_of(ann.app).get(f"{API}/features")
    reply = ask(ann, "GET", "/features")
    assert (reply.status, reply.body) == (200, outside.data)


def test_a_write_is_audited_as_the_actor_with_the_request_and_the_address(ann: Visitor) -> None:
    reply = ask(ann, "POST", "/nets", body=b'{"name": "Strike"}')
    assert reply.status == 200 and reply.json()["action"] == "net.create"
    assert ("panel", "panel: Ann", f"{API}/nets", 200, "outer-1") in rows(ann.app)


def test_a_dry_run_changes_nothing_and_a_repeat_is_the_same(ann: Visitor) -> None:
    before = ann.app.shard.guild.version
    assert ask(ann, "POST", "/nets", query="dryRun=true", body=b'{"name": "Dry"}').json()["dryRun"]
    assert ann.app.shard.guild.version == before
    twice = [
        ask(ann, "POST", "/nets", body=b'{"name": "Once"}', headers={"Idempotency-Key": "k1"}) for _ in "ab"
    ]
    assert twice[0].body == twice[1].body and ann.app.shard.guild.version == before + 1
    stale = ask(ann, "POST", "/nets", body=b'{"name": "Late"}', headers={"If-Match": '"0"'})
    assert (stale.status, stale.json()["code"]) == (412, "precondition_failed")


def test_reads_leave_no_row_and_refusals_do(ann: Visitor) -> None:
    rows(ann.app)
    ask(ann, "GET", "/roster")
    ask(ann, "GET", "/nowhere")
    told = [(path, status) for _, _, path, status, _ in rows(ann.app)]
    assert (f"{API}/nowhere", 404) in told and (f"{API}/roster", 200) not in told


@pytest.mark.parametrize("path", ["/stream", "/../../health", "/%2e%2e/panel/session", "//status"])
def test_only_the_api_is_called(ann: Visitor, path: str) -> None:
    assert ask(ann, "GET", path).status == 404


def test_a_key_without_the_scope_is_refused_as_outside(ann: Visitor) -> None:
    with ann.client as client:
        client.get("/panel/session")
        way: Inside = inside()
        way.outer.key = structs.replace(actor(ann.app.shard, "Ann"), scopes=frozenset({"read:status"}))
        assert way.call("GET", "/status").status == 200
        refused = way.call("GET", "/roster")
    assert (refused.status, refused.json()["code"]) == (403, "missing_scope")


def test_a_refusal_is_raised_with_its_document(ann: Visitor) -> None:
    with ann.client as client:
        client.get("/panel/session")
        api = Api(inside())
        assert api.get("/status")["ok"] and api.post("/nets", {"name": "Dry"}, dry_run=True)["dryRun"]
        with pytest.raises(Refusal) as refused:
            api.post("/nets", {"name": ""})
    assert (refused.value.status, refused.value.problem["code"]) == (400, "invalid_value")


def test_each_session_has_a_limit_of_its_own(app: ShardApp) -> None:
    ann, bea = cleared(app).sign_in("Ann"), Visitor(app).sign_in("Bea")
    codes = [ann.client.get("/panel/api/status").status_code for _ in range(41)]
    assert codes == [200] * 40 + [429]
    assert ann.client.get("/panel/api/status").headers["Retry-After"]
    assert bea.client.get("/panel/api/status").status_code == 200
    assert client_of(app).get(f"{API}/status").status_code == 200


def test_a_body_is_read_as_any_other(ann: Visitor) -> None:
    token = ann.token()
    large = ann.send("/panel/keys/new", csrf_token=token, name="x" * 600_000)
    assert (large.status_code, large.json["code"]) == (413, "body_too_large")  # type: ignore[index]
    parts = ann.client.post("/panel/keys/new", data={"csrf_token": token}, content_type="multipart/form-data")
    assert parts.status_code == 415


def test_a_blueprint_of_pages_cannot_be_made_without_its_guard() -> None:
    from shardapi.routes import Pages

    with pytest.raises(TypeError):
        Pages("open")  # type: ignore[call-arg]
    assert Pages("shut", guard, __name__).url_prefix == "/shut"
