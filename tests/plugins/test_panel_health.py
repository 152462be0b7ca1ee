"""The panel's pages of health: what they show is what the API says, and what they do is done through it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from apps import join, said
from outboxes import LOOPBACK, Desk, delivering, until
from panels import Visitor, field
from receivers import Receiver

from shardapi import ShardApp, clock
from shardapi.commands import CreateNet, SetOperation
from shardapi_panel import charts

MakeApp = Callable[..., ShardApp]
HOUR = charts.HOUR_MS


@pytest.fixture
def desk(make_app: MakeApp) -> Iterator[Desk]:
    """A shard whose webhooks deliver."""
    with delivering(make_app(**LOOPBACK)) as made:
        yield made


@pytest.fixture
def ann(desk: Desk) -> Visitor:
    """Somebody who is signed in there."""
    return Visitor(desk.app).sign_in()


def plain(page: Any) -> str:
    """What a page says, without its marks."""
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page.text, flags=re.DOTALL)
    return " ".join(text.split())


# -- health


def test_it_shows_who_was_connected_and_who_talked(app: ShardApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app.shard.central.submit([CreateNet(uid="net_a", name="Strike & <b>"), SetOperation(open=True)])
    metrics = app.extensions["metrics"]
    metrics.occupancy.take()
    talker = join(app, "1", name="Zoë")
    metrics.occupancy.take()
    now = clock.now()
    app.shard.started_at = now - 2 * HOUR
    monkeypatch.setattr(
        metrics, "talks", lambda start, end: [_talk(75_000)] if start <= now - 900_000 else []
    )
    page = Visitor(app).sign_in().get("/panel/health")
    text = plain(page)
    assert "State ready Connected 1 " in text and "1 connected now; at most 1" in text
    assert "1 min 15 s of talk in the last hour." in text
    assert re.search(r"Net Share Time Transmissions Strike &amp; &lt;b&gt; 1 min 15 s 3 ×", text)
    assert page.text.count("<path") == 4 and page.text.count('<rect class="column"') == 6
    assert 'role="img" aria-label="1 connected now' in page.text and "style=" not in page.text
    assert talker.closed == ""


def _talk(ms: int) -> Any:
    from shardapi_metrics.talk import Talk

    return Talk("1", "net_a", ms, 3)


def test_it_tells_problems_and_a_store_that_cannot_write(app: ShardApp) -> None:
    ann = Visitor(app).sign_in()
    assert "Problems" not in plain(ann.get("/panel/health"))
    for _ in range(3):
        app.shard.problems.failed("dice", "task", "throw", OSError("secret"))
    app.shard.writer.troubled = "the disk is full"
    text = plain(ann.get("/panel/health"))
    assert "State cannot write" in text and "The store cannot write." in text and "the disk is full" in text
    assert re.search(r"dice task throw failed: OSError .* 3 ", text) and "secret" not in text


def test_without_metrics_it_says_which_plugin_to_enable(make_app: MakeApp) -> None:
    ann = Visitor(make_app(PLUGINS__ENABLED="status,panel")).sign_in()
    page = ann.get("/panel/health")
    assert page.status_code == 200 and "The plugin metrics is off." in plain(page)
    shown = re.findall(r'<a href="(/panel/[^"]+)"', page.text.partition("</nav>")[0])
    assert {"/panel/health", "/panel/plugins", "/panel/settings"} <= set(shown)
    assert not {"/panel/webhooks", "/panel/audit", "/panel/public-token"} & set(shown)
    for gone in ("webhooks", "audit", "public-token"):
        assert ann.get(f"/panel/{gone}").status_code == 404


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 s"), (400, "< 1 s"), (59_999, "59 s"), (61_000, "1 min 01 s"), (7_500_000, "2 h 05 min")],
)
def test_a_duration_reads_as_people_say_it(ms: int, text: str) -> None:
    assert charts.duration(ms) == text


def test_nothing_is_drawn_where_nothing_was_measured() -> None:
    now = 1_800_000_000_000
    at = [now - HOUR - 1, now - HOUR + 15_000, now - HOUR + 30_000, now - 30_000, now - 15_000]
    counts = [99, 3, 4, 8, 8]
    samples = [{"at": clock.iso(one), "connected": count} for one, count in zip(at, counts, strict=True)]
    line = charts.connected(samples, 15, now)
    assert (line.line.count("M"), line.area.count("Z"), line.top) == (2, 2, 8)
    assert line.line == "M2.5 62.5H5.0V50.0H5.0 M595.0 0.0H597.5"
    assert (line.said, line.peak) == ("8 connected now; at most 8", clock.iso(now - 15_000))
    assert len(line.table) == 2
    newer = charts.connected(samples, 15, now, 9)
    assert (newer.said, newer.peak) == ("9 connected now; at most 9", clock.iso(now))
    assert newer.line.endswith("H600.0V10.0H600.0")
    nothing = charts.connected([], 15, now)
    assert (nothing.line, nothing.said) == ("", "Nothing has been measured yet")


def test_talk_is_told_in_spans_of_the_hour() -> None:
    found = charts.talk([0, 5_000, 5_000, 65_000, 64_999, 64_999], 1_800_000_000_000)
    assert [one.ms for one in found.columns] == [0, 0, 60_000, 0, 5_000, 0]
    assert found.top == 60_000 and [one.height for one in found.columns][2:5:2] == [100.0, 8.33]
    assert found.columns[-1].until == clock.iso(1_800_000_000_000)
    assert charts.talk([0] * 6, 1_800_000_000_000).said == "Nobody has talked in the last hour."


# -- webhooks


def hook_of(ann: Visitor, **fields: Any) -> Any:
    """The answer to the form of a new webhook."""
    return ann.post("/panel/webhooks", ordered="on", _form="f1", **fields)


def test_a_webhook_is_made_and_its_secret_shown_once(desk: Desk, ann: Visitor) -> None:
    with Receiver() as receiver:
        made = hook_of(
            ann, url=f" {receiver.url} ", event=["user.*", "operation.opened"], events="config.*, user.*"
        )
        secret = re.search(r">(whsec_[^<]+)<", made.text)
        assert made.status_code == 200 and secret and made.headers["Cache-Control"] == "no-store"
        (hook,) = desk.call("GET", "/webhooks")["webhooks"]
        assert (hook["url"], hook["ordered"]) == (receiver.url, True)
        assert hook["events"] == ["user.*", "operation.opened", "config.*"]
        again = hook_of(
            ann, url=receiver.url, event=["user.*", "operation.opened"], events="config.*, user.*"
        )
        assert "whsec_" not in again.text and "was shown once" in again.text
        assert len(desk.call("GET", "/webhooks")["webhooks"]) == 1
        for path in ("/panel/webhooks", f"/panel/webhooks/{hook['id']}"):
            assert "whsec_" not in ann.get(path).text
        desk.join("7")
        until(lambda: receiver.got)
        until(lambda: "delivered" in plain(ann.get(f"/panel/webhooks/{hook['id']}")))


@pytest.mark.parametrize(
    ("fields", "complaint", "member"),
    [
        ({"url": "ftp://example.com"}, "http", "url"),
        ({"url": "https://example.com", "events": "nonsense.x"}, "names no type of event", "events"),
        ({"url": "https://example.com", "secret": "short"}, "has fewer than 16 characters", "secret"),
    ],
)
def test_a_webhook_that_is_refused_loses_nothing_typed(
    ann: Visitor, fields: dict[str, str], complaint: str, member: str
) -> None:
    answer = hook_of(ann, event="ptt.*", **fields)
    assert answer.status_code == 400 and complaint in plain(answer)
    for name, value in fields.items():
        assert re.search(rf'name="{name}"[^>]* value="{re.escape(value)}"', answer.text), name
    assert re.search(
        rf'id="{member}"[^>]* aria-describedby="[^"]*{member}-wrong" aria-invalid="true"', answer.text
    )
    assert re.search(r'value="ptt\.\*" checked', answer.text)


def test_what_a_form_carries_may_be_any_text(desk: Desk, ann: Visitor) -> None:
    made = ann.post("/panel/webhooks", url="https://example.com", _form="\U0001f680 ж")
    assert made.status_code == 200 and "whsec_" in made.text


def test_a_disabled_webhook_says_why_and_is_enabled_again(desk: Desk, ann: Visitor) -> None:
    with Receiver(lambda delivery: 410) as receiver:
        path = f"/panel/webhooks/{(id := desk.hook(receiver.url))}"
        desk.join("7")
        until(lambda: desk.state(id)["state"] == "disabled")
        assert "disabled Because it answered 410" in plain(ann.get(path))
        assert "Webhooks that need a look" in plain(ann.get("/panel/health"))
        receiver.answers = lambda delivery: 204
        assert ann.post(f"{path}/enable").headers["Location"] == path
        until(lambda: desk.state(id)["state"] == "delivering" and desk.state(id)["lastStatus"] == 204)
        assert "It is enabled" in plain(ann.get(path))


def test_what_is_parked_is_shown_and_replayed(desk: Desk, ann: Visitor) -> None:
    with Receiver(lambda delivery: 400) as receiver:
        # What is told of the webhook itself would be parked, too.
        path = f"/panel/webhooks/{(id := desk.hook(receiver.url, 'user.*'))}"
        (event,) = desk.join("7")
        until(lambda: desk.state(id)["parked"] == 1)
        text = plain(ann.get(path))
        assert re.search(rf"Parked 1 It answered .* user\.joined {event} ", text)
        receiver.answers = lambda delivery: 204
        ann.post(f"{path}/replay", since="")
        until(lambda: desk.state(id)["parked"] == 0)
        assert "is being sent again" in plain(ann.get(path))
        count = len(receiver.got)
        ann.post(f"{path}/replay", since="id", after="nonsense")
        assert 'class="notice bad"' in ann.get(path).text
        ann.post(f"{path}/replay", since="1h")
        until(lambda: len(receiver.got) > count)


def test_a_test_tells_what_came_of_it(desk: Desk, ann: Visitor) -> None:
    with Receiver() as receiver:
        path = f"/panel/webhooks/{desk.hook(receiver.url)}"
        ann.post(f"{path}/test")
        assert "The test was delivered: it answered 204" in plain(ann.get(path))
        receiver.answers = lambda delivery: 500
        ann.post(f"{path}/test")
        assert "The test was not delivered: it answered 500" in plain(ann.get(path))


def test_a_secret_is_rotated_once_and_a_webhook_deleted(desk: Desk, ann: Visitor) -> None:
    path = f"/panel/webhooks/{desk.hook('https://example.com/hook')}"
    form = field(ann.get(path), "_form")
    first = ann.post(f"{path}/rotate", _form=form)
    assert "whsec_" in first.text and "signed with the old secret too" in plain(first)
    assert "whsec_" not in ann.post(f"{path}/rotate", _form=form).text
    assert ann.post(f"{path}/delete").headers["Location"] == "/panel/webhooks"
    assert desk.call("GET", "/webhooks")["webhooks"] == []
    gone = ann.get(path)
    assert gone.status_code == 404 and "There is no webhook" in plain(gone)


def test_what_is_done_to_webhooks_is_the_panels_in_the_audit(desk: Desk, ann: Visitor) -> None:
    path = f"/panel/webhooks/{(id := desk.hook('https://example.com/hook'))}"
    ann.post(f"{path}/enable")
    ann.post(f"{path}/delete")
    desk.shard.audit.flush()
    mine = desk.call("GET", "/audit?keyId=panel&path=webhooks")["entries"]
    done = {(one["method"], one["path"].removeprefix("/api/v1"), one["keyName"]) for one in mine}
    assert {
        ("POST", f"/webhooks/{id}/enable", "panel: Ann"),
        ("DELETE", f"/webhooks/{id}", "panel: Ann"),
    } <= done


# -- the audit


def test_the_audit_is_filtered_and_paged(app: ShardApp) -> None:
    ann = Visitor(app).sign_in()
    key, secret = app.shard.keys.create("Bot <b>", app.shard.plugins.all_scopes)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    for _ in range(101):
        client.get("/api/v1/features", headers={"X-Audit-Log-Reason": ""})
    said(client.post("/api/v1/nets", json={"name": "A"}, headers={"X-Audit-Log-Reason": "Friday <op>"}))
    client.get("/api/v1/archive/net_nothing")
    app.shard.audit.flush()
    page = ann.get(f"/panel/audit?keyId={key.id}")
    assert page.text.count("<tr>") == 101 and "Friday &lt;op&gt;" not in page.text.partition("<table")[0]
    assert f'<option value="{key.id}" selected>Bot &lt;b&gt;</option>' in page.text
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older and f"keyId={key.id}" in older[1]
    rest = ann.get(older[1].replace("&amp;", "&"))
    assert rest.text.count("<tr>") == 4 and "Newest" in plain(rest) and 'rel="next"' not in rest.text
    refused = ann.get("/panel/audit?status=4xx&path=net_nothing")
    assert refused.text.count("<tr>") == 2 and "entry not found" in plain(refused)
    assert "Nothing matches." in plain(ann.get("/panel/audit?until=2020-01-01T00:00"))
    assert "Friday &lt;op&gt;" in ann.get("/panel/audit?path=/nets&since=2020-01-01T00:00:00").text


@pytest.mark.parametrize("query", ["status=9", "since=yesterday", "before=x"])
def test_a_filter_that_makes_no_sense_says_so(app: ShardApp, query: str) -> None:
    page = Visitor(app).sign_in().get(f"/panel/audit?{query}")
    assert page.status_code == 400 and 'class="notice bad" role="alert"' in page.text


# -- plugins and settings


def test_plugins_show_what_each_opens(make_app: MakeApp) -> None:
    make_app()
    text = plain(Visitor(make_app(PLUGINS__ENABLED="status,panel,webhooks")).sign_in().get("/panel/plugins"))
    assert re.search(r"status on .* Routes 1 GET /api/v1/status Scopes 1 read:status status, features", text)
    assert "webhook.disabled A webhook is sent nothing more until it is enabled." in text
    assert re.search(r"panel on .* Routes \d+ GET /panel GET /panel/acars .* POST /panel/webhooks", text)
    assert "Commands 1 shardapi panel" in text and "all that came with shardapi" not in text
    assert re.search(r"Not running .* embed off shardapi \S+ public_token ", text)


def test_settings_show_where_each_comes_from_and_no_secret(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {
        "SIGNING_SECRET": "hunter2" * 8,
        "GUILD__NAME": "Friday <b>",
        "PLUGINS__DISCORD__URL": "https://discord.com/api/webhooks/123456/hunter2hunter2hunter2",
    }
    app = make_app(**given)
    for name, value in {**given, "DATA_DIR": str(tmp_path / "data"), "GUILD__NAME": "Saturday"}.items():
        monkeypatch.setenv(f"SHARDAPI_{name}", value)
    page = Visitor(app).sign_in().get("/panel/settings")
    assert "hunter2" not in page.text and plain(page).count("set, not shown") == 2
    assert "1 setting was changed since the start." in plain(page)
    assert re.search(
        r"name &#34;Friday &lt;b&gt;&#34; after a restart &#34;Saturday&#34; SHARDAPI_GUILD__NAME",
        plain(page),
    )
    monkeypatch.setenv("SHARDAPI_LIMITS__DEFAULT", "<i>often")
    told = plain(Visitor(app).sign_in().get("/panel/settings"))
    assert "What is written now could not be used:" in told and "&lt;i&gt;often" in told


# -- the public link


def test_the_public_link_is_previewed_copied_and_ended(app: ShardApp) -> None:
    ann = Visitor(app).sign_in()
    page = ann.get("/panel/public-token")
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    frame = re.search(r'<iframe src="([^"]+)"', page.text)
    assert frame and frame[1].startswith("/api/v1/embed/widget?token=")
    assert app.test_client().get(frame[1]).status_code == 200
    code = re.search(r'id="code"[^>]*>([^<]+)<', page.text)
    assert code and "&lt;iframe src=&#34;http://127.0.0.1" in code[1] and frame[1] in code[1]
    dark = ann.get("/panel/public-token?theme=dark")
    assert dark.text.count("&amp;theme=dark") == 2 and 'value="dark" selected' in dark.text
    assert ann.post("/panel/public-token/rotate").headers["Location"] == "/panel/public-token"
    assert app.test_client().get(frame[1]).status_code == 410
    assert frame[1] not in ann.get("/panel/public-token").text


def test_no_other_page_may_frame_anything(app: ShardApp) -> None:
    ann = Visitor(app).sign_in()
    for path in ("health", "webhooks", "audit", "plugins", "settings"):
        assert "frame-src" not in ann.get(f"/panel/{path}").headers["Content-Security-Policy"]


@pytest.mark.parametrize("id", ["wh_nothing", "../status", "a b", "%", "x" * 65, "é"])
def test_an_id_of_no_webhook_goes_nowhere_else(app: ShardApp, id: str) -> None:
    answer = Visitor(app).sign_in().get(f"/panel/webhooks/{quote(id, safe='')}")
    assert answer.status_code in (400, 404)
