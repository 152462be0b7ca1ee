"""GET /metrics/prometheus: what Prometheus reads, and that what we ship for it names only what there is."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from apps import API, client_of, join, said
from demos import Demo
from flask.testing import FlaskClient
from prometheus_client import REGISTRY, Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from shardapi import ShardApp
from shardapi.commands import CreateNet
from shardapi.shard import VERSION

SCRAPE = f"{API}/metrics/prometheus"
CONF = Path(__file__).resolve().parents[2] / "conf"
SCRAPE_CONFIG, ALERTS = CONF / "prometheus.yml", CONF / "prometheus-alerts.yml"
DASHBOARD = CONF / "grafana-dashboard.json"
ALERT_TESTS = Path(__file__).with_name("prometheus-alerts.test.yml")
COLLECTORS = "prometheus_collectors"
OF_SPEED = {"ShardSlow", "ShardCommitsSlowly"}  # pending where the machine is busy; they fire in 10 min
NAME = re.compile(r"\b(?:shardapi|process|python)_[a-z0-9_]+")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: FlaskClient, accept: str = "") -> str:
    answer = client.get(SCRAPE, headers={"Accept": accept})
    assert answer.status_code == 200
    return answer.text


def samples(text: str) -> Samples:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(client: FlaskClient, name: str, /, **labels: str) -> float:
    """One sample of a scrape now."""
    return samples(scraped(client))[name, frozenset(labels.items())]


def promtool(*words: str, given: str | None = None) -> None:
    """Run a check, which must find nothing."""
    done = subprocess.run(["promtool", *words], input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert given is None or done.stdout + done.stderr == ""


@pytest.fixture
def busy(app: ShardApp, client: FlaskClient) -> FlaskClient:
    """A shard on which something of everything has happened."""
    said(client.post(f"{API}/operation", json={"open": True}))
    said(client.post(f"{API}/nets", json={"name": 'Ünder "attack" \\ N', "netId": 1}))
    said(client.post(f"{API}/assignments", json={"userId": "1234567", "netId": 1}))
    ann = join(app, "1234567", name="Ann Onymous")
    app.shard.presence.key_up(ann, net_id=1)
    app.shard.presence.key_down(ann, net_id=1)
    join(app, "listener-7", service=True)
    app.shard.problems.record("range", "view", "a view failed")  # its counter has no sample before
    client.get(f"{API}/nothing")
    app.test_client().get(f"{API}/status")
    app.shard.writer.write(lambda: None)
    return client


@pytest.mark.debian("promtool")
def test_promtool_finds_nothing(busy: FlaskClient) -> None:
    scraped(busy)
    promtool("check", "metrics", given=scraped(busy))


def test_both_text_formats_can_be_read(busy: FlaskClient) -> None:
    assert samples(scraped(busy))
    assert list(parse_openmetrics(scraped(busy, "application/openmetrics-text; version=1.0.0")))


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "nonsense", ";;,,=", "application/json", "text/plain;q=0", "é" * 300]
)
def test_whatever_is_accepted_is_answered_as_plain_text(client: FlaskClient, accept: str) -> None:
    answer = client.get(SCRAPE, environ_overrides={"HTTP_ACCEPT": accept.encode().decode("latin-1")})
    assert answer.status_code == 200 and answer.mimetype == "text/plain" and samples(answer.text)


def test_what_plugins_did_wrong_is_counted(client: FlaskClient, app: ShardApp) -> None:
    assert value(client, "shardapi_plugin_problems") == value(client, "shardapi_loop_stalls_total") == 0
    for _ in range(3):
        app.shard.problems.failed("bad", "task", "work", OSError())
    app.shard.problems.failed("bad", "view", "read", OSError())
    assert value(client, "shardapi_plugin_errors_total", plugin="bad", where="task") == 3
    assert value(client, "shardapi_plugin_errors_total", plugin="bad", where="view") == 1
    assert value(client, "shardapi_plugin_problems") == 2
    assert value(client, "shardapi_loop_stall_longest_seconds") == 0


def test_what_is_live_is_told(busy: FlaskClient, app: ShardApp) -> None:
    (uid,) = app.shard.guild.nets
    found = samples(scraped(busy))

    def one(name: str, /, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert one("shardapi_build_info", version=VERSION) == 1
    assert one("shardapi_connected_operators") == one("shardapi_service_listeners") == 1
    assert one("shardapi_gateway_connections") == 2
    assert one("shardapi_nets") == one("shardapi_operation_open") == 1
    assert one("shardapi_net_info", net=uid, slot="1", name='Ünder "attack" \\ N') == 1
    assert one("shardapi_net_occupancy_operators", net=uid) == 1
    assert one("shardapi_transmissions_total", net=uid) == 1
    assert one("shardapi_events_logged_total", type="ptt.stop") == 1
    assert one("shardapi_event_log_events") == app.shard.events.newest
    assert one("shardapi_store_troubled") == 0
    assert one("shardapi_auth_failures_total") == 1
    assert one("process_open_fds") > 0


def test_a_transmission_is_told_while_it_runs_and_its_seconds_when_it_has_ended(
    app: ShardApp, client: FlaskClient
) -> None:
    said(client.post(f"{API}/operation", json={"open": True}))
    uid = said(client.post(f"{API}/nets", json={"name": "Strike"}))["netUid"]
    said(client.post(f"{API}/assignments", json={"userId": "1", "netUid": uid}))
    ann = join(app, "1")
    app.shard.presence.key_up(ann, net_uid=uid)
    assert value(client, "shardapi_net_talking_operators", net=uid) == 1
    time.sleep(0.02)
    app.shard.presence.key_down(ann, net_uid=uid)
    app.shard.writer.write(lambda: None)
    assert value(client, "shardapi_net_talking_operators", net=uid) == 0
    assert 0.02 <= value(client, "shardapi_transmission_seconds_total", net=uid) < 60


def test_no_user_is_in_it(busy: FlaskClient) -> None:
    text = scraped(busy)
    assert "1234567" not in text and "Ann" not in text and "listener-7" not in text


def test_a_net_that_is_gone_is_told_no_more(app: ShardApp, busy: FlaskClient) -> None:
    (uid,) = app.shard.guild.nets
    assert uid in scraped(busy)
    said(busy.delete(f"{API}/nets/{uid}"))
    assert uid not in scraped(busy)


def test_a_rename_moves_no_counter(app: ShardApp, busy: FlaskClient) -> None:
    (uid,) = app.shard.guild.nets
    said(busy.post(f"{API}/nets/rename", json={"netUid": uid, "name": "Calm"}))
    assert value(busy, "shardapi_transmissions_total", net=uid) == 1
    assert value(busy, "shardapi_net_info", net=uid, slot="1", name="Calm") == 1
    assert "Ünder" not in scraped(busy)


def test_there_is_no_more_of_it_than_there_are_nets(app: ShardApp, client: FlaskClient) -> None:
    for round_ in range(3):
        for net in list(app.shard.guild.nets):
            said(client.delete(f"{API}/nets/{net}"))
        names = [f"net_{round_}{number:023}" for number in range(50)]
        app.shard.central.submit([CreateNet(uid=uid, name=uid) for uid in names])
    told = {labels for name, labels in samples(scraped(client)) if name == "shardapi_transmissions_total"}
    assert len(told) == 51  # global push-to-talk is one


def test_calls_are_told_in_seconds(app: ShardApp, client: FlaskClient) -> None:
    app.shard.timings.observe("some.call", 200, 2.0)
    app.shard.timings.observe("some.call", 200, 40.0)
    app.shard.timings.observe("some.call", 200, 9000.0)
    some = {"route": "some.call", "status": "200"}
    name = "shardapi_http_request_duration_seconds"
    assert value(client, f"{name}_sum", **some) == pytest.approx(9.042)
    assert value(client, f"{name}_count", **some) == 3
    below = {
        le: value(client, f"{name}_bucket", le=le, **some) for le in ("0.001", "0.002", "0.05", "2.5", "+Inf")
    }
    assert below == {"0.001": 0, "0.002": 1, "0.05": 2, "2.5": 2, "+Inf": 3}


def test_refusals_are_counted(make_app: Callable[..., ShardApp]) -> None:
    app = make_app(LIMITS__DEFAULT="2/minute")
    client = client_of(app)
    for _ in range(4):
        client.get(f"{API}/status")
    for _ in range(3):
        app.test_client().get(f"{API}/status", headers={"Authorization": "Bearer scok_wrong"})
    other = client_of(app)
    assert value(other, "shardapi_rate_limited_requests_total") == 2
    assert value(client_of(app), "shardapi_auth_failures_total") == 3


def test_a_store_that_cannot_write_is_told(app: ShardApp, client: FlaskClient) -> None:
    app.shard.writer.troubled, app.shard.writer.dropped = "the disk is full", 7
    assert value(client, "shardapi_store_troubled") == 1
    assert value(client, "shardapi_events_dropped_total") == 7
    app.shard.writer.write(lambda: None)  # it can again, and the gap is told
    assert value(client, "shardapi_store_troubled") == 0
    assert value(client, "shardapi_events_dropped_total") == 7


def test_nothing_of_it_is_imported_before_the_first_scrape(tmp_path: Path) -> None:
    program = (
        "import sys; from shardapi import create_app; from shardapi.config import load;"
        f"app = create_app(load(environ={{}}, data_dir={str(tmp_path)!r}));"
        "key = app.shard.keys.create('t', app.shard.plugins.all_scopes)[1]; client = app.test_client();"
        "client.environ_base['HTTP_AUTHORIZATION'] = 'Bearer ' + key;"
        "assert client.get('/api/v1/metrics').status_code == 200;"
        "before = 'prometheus_client' in sys.modules;"
        f"assert client.get({SCRAPE!r}).status_code == 200;"
        "print(before, 'prometheus_client' in sys.modules); app.shard.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr


# -- metrics of other plugins


def test_each_app_has_the_metrics_of_its_own_plugins(
    make_app: Callable[..., ShardApp], tmp_path: Path
) -> None:
    here, there = make_app(), make_app(tmp_path / "other")
    for app, shots in ((here, 1), (there, 2)):
        counter = Counter("range_shots_total", "Shots at the range.", registry=None)
        counter.inc(shots)
        app.extensions.setdefault(COLLECTORS, []).append(counter)
    assert [value(client_of(app), "range_shots_total") for app in (here, there)] == [1, 2]


def test_a_plugin_adds_metrics_as_documented(make_app: Callable[..., ShardApp], tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "range.py").write_text(
        "from prometheus_client import Counter\n"
        "from shardapi import hookimpl\n"
        'shots = Counter("range_shots_total", "Shots at the range.", registry=None)\n'
        "@hookimpl\n"
        "def shardapi_blueprints(app):\n"
        "    shots.inc()\n"
        '    app.extensions.setdefault("prometheus_collectors", []).append(shots)\n'
        "    return []\n"
    )
    app = make_app(PLUGINS__DIR=str(folder))
    assert value(client_of(app), "range_shots_total") == 1


def test_what_is_in_prometheus_clients_own_registry_is_told_too(client: FlaskClient) -> None:
    counter = Counter("shop_sales_total", "Sales.")
    try:
        counter.inc(3)
        assert value(client, "shop_sales_total") == 3
    finally:
        REGISTRY.unregister(counter)


class Broken:
    """Metrics that cannot be read."""

    def collect(self) -> Iterator[Metric]:
        yield Metric("range_shots", "Shots.", "gauge")
        raise ZeroDivisionError


class Odd:
    """Metrics that are given, or else raised."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def collect(self) -> Any:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


@pytest.mark.parametrize(
    "bad",
    [
        Broken(),
        object(),
        None,
        Counter("shardapi_transmissions", "Ours.", ["net"], registry=None),
        Odd(SystemExit(3)),
        Odd(gevent.Timeout(1)),
        Odd([1]),
        Odd([GaugeMetricFamily("range_shots", "Shots.", value="many")]),  # type: ignore[arg-type]
    ],
)
def test_metrics_that_fail_are_left_out_counted_and_told(
    app: ShardApp, client: FlaskClient, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = Counter("shop_sales_total", "Sales.", registry=None)
    app.extensions[COLLECTORS] = [bad, good]
    scraped(client)
    text = scraped(client)
    assert text.count("# TYPE shardapi_transmissions_total") == 1
    assert "shop_sales_total 0.0" in text and "range_shots" not in text
    assert "plugin metrics: metrics " in caplog.text
    assert value(client, "shardapi_plugin_errors_total", plugin="metrics", where="metrics") >= 1
    ready = client.get("/ready").json
    assert ready is not None and {one["where"] for one in ready["problems"]} == {"metrics"}


def test_metrics_that_fail_are_laid_to_the_plugin_whose_they_are(
    make_app: Callable[..., ShardApp], tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "range.py").write_text(
        "from prometheus_client import Gauge\n"
        "from shardapi import hookimpl\n\n"
        "class Shots:\n"
        "    collect = None\n\n"
        "@hookimpl\n"
        "def shardapi_blueprints(app):\n"
        '    wind = Gauge("range_wind", "Wind.", registry=None)\n'
        "    wind.set_function(lambda: 1 / 0)\n"
        '    app.extensions.setdefault("prometheus_collectors", []).extend([wind, Shots()])\n'
        "    return []\n"
    )
    app = make_app(PLUGINS__DIR=str(folder))
    assert "range_wind" not in scraped(client_of(app))
    assert {(where.plugin, where.place, where.what) for where, _ in app.shard.problems.now()} == {
        ("range", "metrics", "Gauge failed: ZeroDivisionError"),
        ("range", "metrics", "Shots failed: TypeError"),
    }


# -- what we ship


def exprs() -> list[str]:
    """Every query of the dashboard."""
    board = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return found + [one["expr"] for one in board["annotations"]["list"]]


@pytest.mark.parametrize("file", [SCRAPE_CONFIG, ALERTS, DASHBOARD, ALERT_TESTS])
def test_every_metric_that_is_named_exists(busy: FlaskClient, file: Path) -> None:
    named = set(NAME.findall(file.read_text()))
    there = {name for name, _ in samples(scraped(busy))}
    assert named <= there
    assert named or file is SCRAPE_CONFIG


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(panel["title"] and panel["targets"] for panel in panels)
    taken = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) == 23
    assert all('instance="$instance"' in expr for expr in exprs())


def test_every_alert_is_tested() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    tested = set(re.findall(r'alertname="(\w+)"', ALERT_TESTS.read_text()))
    assert len(alerts) == len(set(alerts)) and set(alerts) == tested


@pytest.mark.debian("promtool")
def test_the_alerts_do_what_they_say() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERT_TESTS))


@pytest.mark.debian("promtool")
def test_the_scrape_configuration_is_sound(tmp_path: Path) -> None:
    for file in (SCRAPE_CONFIG, ALERTS):
        shutil.copy(file, tmp_path)
    (tmp_path / "shardapi.key").write_text("scok_")
    promtool("check", "config", str(tmp_path / SCRAPE_CONFIG.name))


# -- a real one


class Prometheus:
    """A Prometheus with our configuration, each second at a shard that is somewhere else."""

    def __init__(self, folder: Path, demo: Demo) -> None:
        config = SCRAPE_CONFIG.read_text()
        for ours, theirs in (("127.0.0.1:25588", demo.url.removeprefix("http://")), ("15s", "1s")):
            assert ours in config
            config = config.replace(ours, theirs)
        (folder / SCRAPE_CONFIG.name).write_text(config)
        (folder / "shardapi.key").write_text(demo.key)
        shutil.copy(ALERTS, folder)
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / SCRAPE_CONFIG.name}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if found := re.search(r'"Listening on" address=(\S+)', line):
                break
        else:
            raise AssertionError(said)
        self.url = f"http://{found[1]}"
        self._rest = threading.Thread(target=self.process.stderr.read)
        self._rest.start()

    def end(self) -> None:
        """Stop it."""
        with self.process:
            self.process.terminate()
            self._rest.join(20)

    def api(self, path: str, **query: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        found = answer.json() if answer.status_code in (200, 400, 422) else {}
        assert found.get("status") == "success", (path, query, answer.text)
        return found["data"]

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each element of an instant query's answer."""
        return [(one["metric"], float(one["value"][1])) for one in self.api("query", query=expr)["result"]]

    def wait(self, expr: str) -> float:
        """The value of a query, once it has one that is true."""
        deadline = time.monotonic() + 30
        while True:
            try:
                if (found := self.query(expr)) and found[0][1]:
                    return found[0][1]
            except (requests.ConnectionError, AssertionError) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"no answer to {expr}") from error
            assert time.monotonic() < deadline, (expr, self.api("targets"))
            time.sleep(0.1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"), "--operators", "12", "--seed", "4")
    try:
        yield demo
    finally:
        demo.end()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, demo: Demo) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), demo)
    try:
        yield running
    finally:
        running.end()


@pytest.mark.debian("prometheus", "promtool")
def test_a_real_prometheus_scrapes_a_shard_and_answers(prometheus: Prometheus, demo: Demo) -> None:
    assert prometheus.wait("shardapi_connected_operators") > 0
    assert prometheus.wait("sum(shardapi_transmissions_total)") > 0
    (instance, up), *others = prometheus.query('up{job="shardapi"}')
    assert up == 1 and others == [] and instance["instance"] == demo.url.removeprefix("http://")
    named = {labels["name"] for labels, _ in prometheus.query("shardapi_net_info")}
    assert named == {net["name"] for net in demo.get("/status").json()["nets"]}


@pytest.mark.debian("prometheus", "promtool")
def test_a_real_prometheus_answers_every_panel(prometheus: Prometheus, demo: Demo) -> None:
    prometheus.wait("min_over_time(up[2s])")
    prometheus.wait("sum(rate(shardapi_transmission_seconds_total[1m]))")
    instance = demo.url.removeprefix("http://")
    panels = [expr.replace("$__rate_interval", "1m").replace("$instance", instance) for expr in exprs()]
    well = [
        f'increase(shardapi_plugin_errors_total{{instance="{instance}"}}[1m])',
        f'changes(process_start_time_seconds{{instance="{instance}"}}[1m]) > 0',
    ]
    deadline = time.monotonic() + 30
    while (empty := [asked for asked in panels if not prometheus.query(asked)]) != well:
        assert time.monotonic() < deadline, empty
        time.sleep(0.5)  # a scrape may have come too late


@pytest.mark.debian("prometheus", "promtool")
def test_a_real_prometheus_takes_the_alerts_and_none_fires(prometheus: Prometheus) -> None:
    prometheus.wait("count(up)")
    (group,) = prometheus.api("rules")["groups"]
    deadline = time.monotonic() + 20
    while any(rule["health"] == "unknown" for rule in group["rules"]):
        assert time.monotonic() < deadline, group
        time.sleep(0.1)
        (group,) = prometheus.api("rules")["groups"]
    assert [rule["health"] for rule in group["rules"]] == ["ok"] * len(group["rules"])
    told = {rule["name"]: rule["state"] for rule in group["rules"] if rule["state"] != "inactive"}
    assert told.keys() <= OF_SPEED | {"ShardDown"} and "firing" not in told.values(), told


@pytest.mark.debian("promtool")
def test_promtool_finds_nothing_at_a_shard_full_of_people(demo: Demo) -> None:
    promtool("check", "metrics", given=demo.get("/metrics/prometheus").text)
