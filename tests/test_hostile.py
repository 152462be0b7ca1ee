"""Plugins that break: named in one line, left out whole or stopping the start, contained while the shard runs."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from panels import Visitor
from strangers import GUEST, install

import shardapi.tasks
import shardapi.writer
from shardapi import ShardApp, create_app
from shardapi.config import Config, ConfigError, PluginSettings
from shardapi.guards import Asked, Guard
from shardapi.installed import PluginError
from shardapi.problems import QUIET_MS, SAY_AGAIN_SECONDS
from shardapi.store import rows
from shardapi.subscribers import Subscriber
from shardapi.tasks import Task

MakeApp = Callable[..., ShardApp]
TABLE = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE {0} (x)')\n"
HALF = (
    TABLE.format("half") + "    db.execute_sql('INSERT INTO half VALUES (1)')\n    raise OSError('no luck')\n"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    """Run a shard with the status plugin and those of the texts, installed as distributions."""
    apps: list[ShardApp] = []
    before = set(sys.modules)

    def make(
        on_error: str = "skip",
        tables: dict[str, Any] | None = None,
        migrations: dict[str, dict[str, str]] | None = None,
        **texts: str,
    ) -> ShardApp:
        for name, text in texts.items():
            where = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
            monkeypatch.syspath_prepend(install(where, name, text, (migrations or {}).get(name)))
            sys.modules.pop(f"stranger_{name}", None)
        settings = PluginSettings(
            enabled=("status", *texts),
            on_error=on_error,
            tables=tables or {},  # type: ignore[arg-type]
        )
        apps.append(create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings)))
        return apps[-1]

    yield make
    for app in apps:
        app.shard.close()
    for name in set(sys.modules) - before:
        if name.startswith("stranger_"):
            del sys.modules[name]


def told(app: ShardApp) -> list[tuple[str, str, str]]:
    """What /ready tells of problems."""
    answer = app.test_client().get("/ready")
    assert answer.status_code == 200 and answer.json is not None and answer.json["ok"]
    return [(one["plugin"], one["where"], one["what"]) for one in answer.json["problems"]]


def ask(app: ShardApp, path: str) -> Any:
    """A call with a key for everything."""
    _, secret = app.shard.keys.create("test", app.shard.plugins.all_scopes)
    return app.test_client().get(path, headers={"Authorization": f"Bearer {secret}"})


# -- at the start

BREAKS = {
    "at import": ("raise RuntimeError('no\\nluck')", "cannot be loaded: RuntimeError('no\\nluck')"),
    "ends the process": ("raise SystemExit(3)", "cannot be loaded: SystemExit(3)"),
    "at import, with an error that cannot say": (
        "class Mute(Exception):\n    def __repr__(self):\n        raise self\nraise Mute()", "cannot be loaded: Mute"
    ),
    "what cannot say what it is from a hook": (
        GUEST.replace("return [routes]", "return [Mute()]")
        + "class Mute(Exception):\n    def __repr__(self):\n        1/0\n",
        "what is none of Routes: Mute",
    ),
    "a syntax error": ("def", "cannot be loaded: SyntaxError"),
    "in a hook": (GUEST.replace("return [routes]", "raise OSError('gone')"), "shardapi_blueprints failed: OSError"),
    "a timeout in a hook": (
        GUEST.replace("return [routes]", "import gevent; raise gevent.Timeout(1)"),
        "shardapi_blueprints failed: ",
    ),
    "nothing from a hook": (GUEST.replace("return [routes]", "pass"), "returned no list of Routes: None"),
    "a view from a hook": (GUEST.replace("return [routes]", "return [read]"), "what is none of Routes: <function"),
    "an unknown hook": (GUEST + "@hookimpl\ndef shardapi_nonsense():\n    return []\n", "unknown hook"),
    "an unknown argument": (
        GUEST.replace("shardapi_blueprints(app)", "shardapi_blueprints(app, flask)"),
        "{'flask'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "a hook without its mark": (GUEST.replace("@hookimpl", ""), " needs @hookimpl"),
    "a taken path": (GUEST.replace('"/guest"', '"/status"'), "GET /api/v1/status is taken by status"),
    "a taken path with a slash": (GUEST.replace('"/guest"', '"/status/"'), "is taken by status"),
    "the core's path": (
        GUEST.replace('__name__, ', '__name__, url_prefix="", ').replace('"/guest"', '"/health"'),
        "GET /health is taken by shardapi",
    ),
    "a taken path with a parameter": (
        GUEST.replace('"/guest"', '"/<string:what>"').replace("read(shard: Shard)", "read(what: str)")
        + '@routes.get("/<which>", scope="read:guest")\ndef other(which: str) -> Answer:\n    """The same."""\n',
        "GET /api/v1/<which> is taken by guest",
    ),
    "a taken blueprint": (GUEST.replace('Routes("guest"', 'Routes("status"'), "its blueprint cannot be registered"),
    "a taken scope": (
        GUEST.replace("read:guest", "read:status"),
        'the scope read:status is taken: it stands for "status, features, public token"',
    ),
    "an odd scope": (GUEST.replace("read:guest", "read guest"), "a scope is named like word:word: 'read guest'"),
    "a taken event": (GUEST.replace("guest.slept", "user.joined"), "the event type user.joined is taken"),
    "an event without a name": (GUEST.replace('"guest.slept"', "7"), "an event type is named like word.word: 7"),
    "an event that cannot be described": (
        GUEST.replace('EventType("guest.slept", Slept', 'EventType("guest.slept", dict'),
        "what it declares cannot be described: KeyError",
    ),
    "an answer that cannot be described": (
        GUEST.replace("class Slept", "class Odd(Answer):\n    of: type = int\n\nclass Slept").replace(
            "-> Answer", "-> Odd"
        ),
        "what it declares cannot be described: TypeError",
    ),
    "errors that are none": (
        GUEST.replace('scope="read:guest")', 'scope="read:guest", errors=["full"])'),
        "what it declares cannot be described: AttributeError",
    ),
    "an odd event": (GUEST.replace("guest.slept", "guest\\nslept"), "an event type is named like word.word"),
    "a taken command": (
        GUEST + '@routes.cli.command("keys")\ndef keys():\n    pass\nroutes.cli_group = None\n',
        "the command keys is taken by shardapi",
    ),
    "a URL past the declarations, late": (
        GUEST + "@hookimpl\ndef shardapi_tasks(app):\n    app.add_url_rule('/raw', 'raw', read)\n    return []\n",
        "/raw was added without a declaration and its scope",
    ),
    "settings that are none": (
        GUEST.replace("(msgspec.Struct, frozen=True, forbid_unknown_fields=True)", ""),
        "its Settings are no msgspec.Struct",
    ),
    "settings that raise what they want": (
        GUEST.replace("beds: int = 1", "def __post_init__(self):\n        raise KeyError('beds')"),
        "its settings cannot be used: KeyError('beds')",
    ),
    "settings of a type that there is not": (
        GUEST.replace("beds: int", "beds: 'Bed'"), "its settings cannot be used: NameError(",
    ),
    "a task that is none": (
        GUEST + "@hookimpl\ndef shardapi_tasks(app):\n    return ['run']\n",
        "shardapi_tasks returned what is none of functions: 'run'",
    ),
    "a guard that is none": (
        GUEST + "@hookimpl\ndef shardapi_guards(app):\n    return [read]\n",
        "shardapi_guards returned what is none of Guard",
    ),
    "a guard's code that is none": (
        GUEST + "@hookimpl\ndef shardapi_guards(app):\n    return [Guard(read, ['full'])]\n",
        "a guard refuses with what is no ErrorCode: 'full'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_stops_the_start_in_one_line_with_its_name(
    run: MakeApp, text: str, complaint: str
) -> None:
    with pytest.raises(PluginError) as raised:
        run("stop", guest=text)
    line = str(raised.value)
    assert line.startswith("plugin guest: ") and complaint in line and "\n" not in line


@pytest.mark.parametrize("text", [text for text, _ in BREAKS.values()], ids=BREAKS)
def test_what_breaks_is_left_out_whole_if_the_owner_wants(run: MakeApp, text: str) -> None:
    app = run(guest=text)
    assert [(plugin, where) for plugin, where, _ in told(app)] == [("guest", "start")]
    assert app.shard.problems.counts == {("guest", "start"): 1}
    assert {rule.rule for rule in app.url_map.iter_rules()} == {"/health", "/ready", "/api/v1/status"}
    assert not [name for name in app.shard.events.types if name.startswith("guest")]
    assert "read:guest" not in app.shard.plugins.all_scopes
    assert "guest" not in app.cli.commands and not app.tasks and not app.subscribers
    assert app.shard.central.guards == []
    assert ask(app, "/api/v1/status").status_code == 200


def test_the_others_run_beside_one_that_is_left_out(run: MakeApp) -> None:
    other = GUEST.replace("guest", "visitor")
    app = run(guest=GUEST.replace("return [routes]", "raise OSError"), visitor=other)
    assert ask(app, "/api/v1/visitor").status_code == 200
    assert ask(app, "/api/v1/guest").status_code == 404
    assert [plugin for plugin, _, _ in told(app)] == ["guest"]


def test_each_of_several_that_break_is_left_out(run: MakeApp) -> None:
    app = run(guest="raise OSError", visitor="raise OSError", third=GUEST.replace("guest", "third"))
    assert {plugin for plugin, _, _ in told(app)} == {"guest", "visitor"}
    assert ask(app, "/api/v1/third").status_code == 200


def test_of_two_that_want_the_same_the_later_is_left_out(run: MakeApp) -> None:
    second = GUEST.replace('Routes("guest"', 'Routes("twin"').replace("guest.slept", "twin.slept")
    app = run(guest=GUEST, twin=second)
    assert told(app) == [("twin", "start", "GET /api/v1/guest is taken by guest")]
    assert ask(app, "/api/v1/guest").status_code == 200


@pytest.mark.parametrize("name", ["core", "shardapi", "dir", "enabled"])
def test_a_name_that_stands_for_something_else_is_refused(run: MakeApp, name: str) -> None:
    with pytest.raises(PluginError, match=f"plugin {name}: a plugin cannot have this name"):
        run("stop", **{name: GUEST})  # type: ignore[arg-type]
    assert told(run(**{name: GUEST})) == [(name, "start", "a plugin cannot have this name")]  # type: ignore[arg-type]


def test_a_name_that_is_none_is_refused(run: MakeApp) -> None:
    with pytest.raises(PluginError, match="plugin My-Guest: a plugin is named with a-z, 0-9 and _, a letter"):
        run("stop", **{"My-Guest": GUEST})  # type: ignore[arg-type]


def test_an_entry_point_that_names_no_module_is_refused(
    run: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install(tmp_path / "odd", "guest", GUEST)
    (folder / "stranger_guest-1.2.dist-info" / "entry_points.txt").write_text(
        "[shardapi]\nguest = stranger_guest:routes\nodd = nowhere:\n"
    )
    monkeypatch.syspath_prepend(folder)
    settings = PluginSettings(enabled=("status", "guest", "odd"), on_error="skip")
    app = create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))
    assert told(app) == [
        ("guest", "start", "its entry point names no module"),
        ("odd", "start", "cannot be loaded"),
    ]
    app.shard.close()


def test_a_module_is_one_plugin(run: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path / "twice", "guest", GUEST)
    (folder / "stranger_guest-1.2.dist-info" / "entry_points.txt").write_text(
        "[shardapi]\nguest = stranger_guest\ntwin = stranger_guest\n"
    )
    monkeypatch.syspath_prepend(folder)
    settings = PluginSettings(enabled=("status", "guest", "twin"), on_error="skip")
    app = create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))
    assert told(app) == [("twin", "start", "its module is that of guest")]
    assert ask(app, "/api/v1/guest").status_code == 200
    app.shard.close()


def test_a_distribution_takes_no_name_of_another(
    run: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "thief", "status", GUEST))
    complaint = "there are two plugins of this name: shardapi and stranger-status"
    with pytest.raises(PluginError, match=f"plugin status: {complaint}"):
        run("stop")
    assert told(run()) == [("status", "start", "there are two plugins of this name")]


def test_what_is_merely_installed_takes_neither_a_bundled_plugin_nor_a_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("status", "guest"):
        monkeypatch.syspath_prepend(install(tmp_path / name, name, "raise OSError"))
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "guest.py").write_text(GUEST)
    settings = PluginSettings(dir=str(tmp_path / "dir"))
    app = create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))
    app.shard.problems.begin()
    assert [ask(app, f"/api/v1/{name}").status_code for name in ("status", "guest")] == [200, 200]
    lines = [
        f"stranger-{name} has a plugin of this name too, which does not run" for name in ("guest", "status")
    ]
    assert [what for *_, what in told(app)] == lines
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == lines
    assert app.shard.problems.counts == {} and app.shard.problems.left_out == []
    app.shard.close()


def test_a_file_with_the_name_of_an_installed_plugin_is_an_error_of_that_plugin_where_it_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "guest", "guest", GUEST))
    folder = tmp_path / "dir"
    folder.mkdir()
    for name in ("status", "guest"):
        (folder / f"{name}.py").write_text(GUEST)

    def made(*enabled: str) -> ShardApp:
        settings = PluginSettings(enabled=enabled, dir=str(folder), on_error="skip")
        return create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))

    for enabled, lines in {
        ("nets",): [],
        ("nets", "guest"): [
            f"plugin guest: there are two plugins of this name: {folder}/guest.py and stranger-guest"
        ],
        ("*",): [f"plugin status: there are two plugins of this name: shardapi and {folder}/status.py"],
    }.items():
        app = made(*enabled)
        assert [str(error) for error in app.shard.problems.left_out] == lines
        assert "nets" in app.shard.plugins.opened
        app.shard.close()


def test_files_of_two_plugins_do_not_lie_at_one_place(run: MakeApp) -> None:
    files = GUEST.replace("__name__, ", '__name__, static_folder="static", static_url_path="/files", ')
    twin = files.replace('Routes("guest"', 'Routes("twin"').replace('"/guest"', '"/twin"')
    twin = twin.replace("read:guest", "read:twin").replace("guest.slept", "twin.slept")
    with pytest.raises(
        PluginError, match="plugin twin: the files at /api/v1/files/<path:filename> are those of guest"
    ):
        run("stop", guest=files, twin=twin)


def test_a_scope_may_be_shared_under_the_same_sentence_only(run: MakeApp) -> None:
    def other(sentence: str) -> str:
        text = GUEST.replace('"/guest"', '"/twin"').replace("guest.slept", "twin.slept")
        return text.replace('Routes("guest"', 'Routes("twin"').replace("be a guest", sentence)

    with pytest.raises(
        PluginError, match='plugin twin: the scope read:guest is taken: it stands for "be a guest"'
    ):
        run("stop", guest=GUEST, twin=other("be another guest"))
    assert ask(run("stop", guest=GUEST, twin=other("be a guest")), "/api/v1/twin").status_code == 200


def test_a_setting_of_the_wrong_type_is_named(run: MakeApp) -> None:
    bad = {"guest": {"beds": "many"}}
    with pytest.raises(PluginError) as raised:
        run("stop", bad, guest=GUEST)
    assert str(raised.value) == (
        "plugin guest: its settings cannot be used: plugins.guest: Expected `int`, got `str` - at `beds`"
    )
    app = run("skip", bad, guest=GUEST)
    assert told(app) == [("guest", "start", "its settings cannot be used")]


def test_an_unknown_setting_is_named_however_the_struct_is_declared(run: MakeApp) -> None:
    lax = GUEST.replace(", forbid_unknown_fields=True", "")
    with pytest.raises(PluginError, match="plugin guest: .*: plugins.guest: unknown setting bed"):
        run("stop", {"guest": {"bed": 1}}, guest=lax)


def test_a_plugin_that_is_not_installed_is_left_out_too(run: MakeApp, tmp_path: Path) -> None:
    settings = PluginSettings(enabled=("status", "gone"), on_error="skip", tables={"gone": {"x": 1}})
    app = create_app(Config(data_dir=str(tmp_path / "gone"), plugins=settings))
    assert told(app) == [("gone", "start", "there is no such plugin")]
    app.shard.close()


def test_a_table_of_settings_for_nobody_stops_the_start_as_ever(tmp_path: Path) -> None:
    settings = PluginSettings(enabled=("status",), on_error="skip", tables={"statsu": {"x": 1}})
    with pytest.raises(ConfigError, match="plugins.statsu: there is no plugin statsu"):
        create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))


def test_ready_quotes_nothing_of_an_error(run: MakeApp) -> None:
    app = run(
        tables={"visitor": {"password": "hunter2"}},
        guest="raise OSError('password=hunter2')",
        visitor=GUEST.replace("guest", "visitor").replace(
            "beds: int = 1", "from typing import Literal\n    password: Literal['a', 'b'] = 'a'"
        ),
    )
    assert len(told(app)) == 2 and "hunter2" not in app.test_client().get("/ready").text


# -- migrations


def tables(app: ShardApp) -> set[str]:
    """The tables of the store that are not the core's."""
    made = app.shard.store.read(lambda: rows("SELECT name FROM sqlite_master WHERE type = 'table'"))
    return {name for (name,) in made} & {"whole", "half", "after"}


def test_a_migration_that_fails_half_way_is_rolled_back_whole_and_tried_again(run: MakeApp) -> None:
    steps = {"0001_whole": TABLE.format("whole"), "0002_half": HALF, "0003_after": TABLE.format("after")}
    app = run(migrations={"guest": steps}, guest=GUEST)
    assert told(app) == [("guest", "start", "a migration failed and was taken back")]
    assert tables(app) == set() and "/api/v1/guest" not in {route.rule for route in app.shard.plugins.routes}
    app.shard.close()
    with pytest.raises(
        PluginError, match=r"plugin guest: a migration failed and was taken back: OSError\('no luck'\)"
    ):
        run("stop", migrations={"guest": steps}, guest=GUEST)
    mended = {**steps, "0002_half": HALF.replace("raise OSError('no luck')", "pass")}
    app = run("stop", migrations={"guest": mended}, guest=GUEST)
    assert tables(app) == {"whole", "half", "after"} and told(app) == []
    assert app.shard.plugins.opened["guest"].tables == ["after", "half", "whole"]
    assert ask(app, "/api/v1/guest").status_code == 200


@pytest.mark.parametrize(
    "line",
    [
        "db.connection().executescript('CREATE TABLE after (x)')",
        "db.commit()",
        "db.rollback()",
        "db.execute_sql('END')",
    ],
)
def test_a_migration_that_ends_its_transaction_is_rolled_back_whole_too(run: MakeApp, line: str) -> None:
    steps = {"0001_whole": TABLE.format("whole"), "0002_half": HALF.replace("raise OSError('no luck')", line)}
    app = run(migrations={"guest": steps}, guest=GUEST)
    assert told(app) == [("guest", "start", "a migration failed and was taken back")]
    assert tables(app) == set()
    app.shard.close()
    mended = {**steps, "0002_half": HALF.replace("raise OSError('no luck')", "pass")}
    app = run("stop", migrations={"guest": mended}, guest=GUEST)
    assert tables(app) == {"whole", "half"}
    assert app.shard.central.submit([_rename(app)], record=lambda outcome: outcome).changed


def test_a_migration_that_is_no_python_names_its_plugin(run: MakeApp) -> None:
    with pytest.raises(
        PluginError, match="plugin guest: a migration failed and was taken back: .*SyntaxError"
    ):
        run("stop", migrations={"guest": {"0001_x": "def"}}, guest=GUEST)


def test_a_store_newer_than_a_plugin_names_it(run: MakeApp) -> None:
    run("stop", migrations={"guest": {"0001_whole": TABLE.format("whole")}}, guest=GUEST).shard.close()
    with pytest.raises(PluginError, match=r"newer than this version of guest .*; upgrade stranger-guest$"):
        run("stop", migrations={"guest": {"0000_x": "def up(migrator, db):\n    pass\n"}}, guest=GUEST)


# -- while it runs


@pytest.mark.parametrize(
    "line",
    [
        "raise ValueError('secret')",
        "raise SystemExit(1)",
        "import gevent; raise gevent.Timeout(1)",
        "import asyncio; raise asyncio.CancelledError('secret')",
        "shard.store.read(lambda: exit(1))",
        "1/0",
    ],
)
def test_a_view_that_raises_is_a_500_and_a_problem(
    run: MakeApp, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    app = run(guest=GUEST.replace("return Answer()", line))
    answers = [ask(app, "/api/v1/guest") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {500}
    assert {answer.json["code"] for answer in answers} == {"internal"}
    assert app.shard.problems.counts == {("guest", "view"): 3}
    ((plugin, where, what),) = told(app)
    assert (
        (plugin, where) == ("guest", "view")
        and what.startswith("guest.read failed: ")
        and "secret" not in what
    )
    lines = [record for record in caplog.records if record.name == "shardapi.http"]
    assert len(lines) == 3 and [bool(record.exc_info) for record in lines] == [True, False, False]
    for record, answer in zip(lines, answers, strict=True):
        assert record.getMessage().startswith("plugin guest: GET /api/v1/guest failed: ")
        assert answer.headers["X-Request-Id"] in record.getMessage()
    assert ask(app, "/api/v1/status").status_code == 200


@pytest.mark.parametrize("error", [gevent.GreenletExit, KeyboardInterrupt])
def test_a_view_that_raises_what_ends_a_request_is_a_problem_too(
    run: MakeApp, error: type[BaseException]
) -> None:
    line = f"from gevent import GreenletExit; raise {error.__name__}"
    app = run(guest=GUEST.replace("return Answer()", line))
    with pytest.raises(error):
        ask(app, "/api/v1/guest")
    assert told(app) == [("guest", "view", f"guest.read failed: {error.__name__}")]


def test_an_event_that_nobody_has_declared_is_a_failure_of_its_write(run: MakeApp) -> None:
    for event in ('Event("guest.left", Slept(1))', 'Event("guest.slept", {"hours": 1})'):
        tells = f"from shardapi import Event; shard.writer.write(lambda: 1, tell=lambda _: [{event}])"
        app = run(guest=GUEST.replace("return Answer()", tells))
        before = app.shard.events.newest
        assert ask(app, "/api/v1/guest").status_code == 500
        assert told(app) == [("guest", "view", "guest.read failed: ValueError")]
        assert app.shard.events.newest == before


@pytest.mark.parametrize(
    "write",
    [
        "shard.writer.write(lambda: time.sleep(0.05))",
        "shard.writer.write(lambda: (time.sleep(0.05), 1 / 0))",
        "shard.central.submit([], record=lambda _: time.sleep(0.05))",
    ],
)
def test_a_write_that_holds_all_others_up_is_told_with_its_plugin(
    run: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, write: str
) -> None:
    app = run(guest=GUEST.replace("return Answer()", f"import time; {write}; return Answer()"))
    monkeypatch.setattr(shardapi.writer, "LONG_SECONDS", 0.02)
    ask(app, "/api/v1/guest")
    assert ("guest", "write", "read held all writes up") in told(app)
    assert "plugin guest: read held all writes up for " in caplog.text


class Mute(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise self

    __repr__ = __str__


def test_an_error_that_cannot_say_what_it_is_is_told_by_its_type_wherever_it_is_raised(
    run: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = run()

    def breaks(*_: object) -> None:
        raise Mute

    app.shard.central.guards.append(Asked("guest", Guard(breaks), app.shard.problems))
    subscriber = Subscriber("guest", breaks, app.shard.problems)
    app.shard.events.on_commit += [breaks, subscriber.notice]
    running = [
        app.shard.spawn(subscriber.run),
        app.shard.spawn(Task("guest", breaks, app.shard.problems).run),
    ]
    for _ in range(2):
        app.shard.central.submit([_rename(app)])
    wait(lambda: len(app.shard.problems.counts) == 4)
    assert {place for _, place in app.shard.problems.counts} == {"guard", "listener", "subscriber", "task"}
    assert not any(one.ready() for one in running)
    assert "plugin guest: guard " in caplog.text and "breaks failed: Mute: Mute" in caplog.text


def test_a_view_whose_error_cannot_say_what_it_is_answers_500(run: MakeApp) -> None:
    mute = "class Mute(Exception):\n    def __str__(self):\n        raise self\n"
    app = run(guest=mute + GUEST.replace("return Answer()", "raise Mute"))
    assert ask(app, "/api/v1/guest").status_code == 500
    assert told(app) == [("guest", "view", "guest.read failed: Mute")]


PAGE = (
    GUEST
    + """
@routes.page("Guest", "guest.html")
def page():
    raise ERROR
"""
)


@pytest.mark.parametrize(
    "error", ["ValueError('secret')", "SystemExit(3)", "__import__('gevent').Timeout(1)"]
)
def test_a_page_of_the_panel_that_raises_is_told_in_it(
    run: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "guest", "guest", PAGE.replace("ERROR", error)))
    settings = PluginSettings(enabled=("panel", "guest"))
    app = create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))
    page = Visitor(app).sign_in().get("/panel/plugins/guest/page")
    assert page.status_code == 500 and "Something went wrong here." in page.text and "secret" not in page.text
    assert [(plugin, where) for plugin, where, _ in told(app)] == [("guest", "view")]
    app.shard.close()


def test_a_subscriber_that_raises_is_called_again_and_disturbs_nobody(
    app: ShardApp, caplog: pytest.LogCaptureFixture
) -> None:
    problems, seen, other = app.shard.problems, list[int](), list[int]()

    def react(newest: int) -> None:
        seen.append(newest)
        raise (KeyboardInterrupt, ValueError, gevent.GreenletExit)[len(seen) % 3]("secret")

    reactions = [Subscriber("bad", react, problems), Subscriber("good", other.append, problems)]
    greenlets = [app.shard.spawn(one.run) for one in reactions]
    for one in reactions:
        app.shard.events.on_commit.append(one.notice)
    log = app.shard.events
    for _ in range(3):
        app.shard.central.submit([_rename(app)])
        wait(lambda: seen and seen[-1] == log.newest and other and other[-1] == log.newest)
    assert len(seen) == 3 and not any(greenlet.ready() for greenlet in greenlets)
    assert problems.counts == {("bad", "subscriber"): 3}
    assert [(plugin, where) for plugin, where, _ in told(app)] == [("bad", "subscriber")] * 3
    assert "secret" not in app.test_client().get("/ready").text
    assert caplog.text.count("plugin bad: subscriber ") == 3  # each kind of failure once, then once a minute


def test_a_task_that_raises_is_begun_anew_with_growing_waits(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(shardapi.tasks, "sleep", waits.append)
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        if len(runs) < 9:
            kinds = {3: SystemExit, 4: KeyboardInterrupt, 5: asyncio.CancelledError, 6: gevent.GreenletExit}
            raise kinds.get(len(runs), OSError)("secret")

    Task("bad", work, app.shard.problems).run()
    assert len(runs) == 9 and waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert app.shard.problems.counts == {("bad", "task"): 8}
    assert "secret" not in app.test_client().get("/ready").text
    assert "plugin bad: task " in caplog.text


def test_a_task_that_ran_well_for_long_is_begun_anew_soon(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    clock = iter([0, 1, 2, 3, 100, 200, 300])
    monkeypatch.setattr(shardapi.tasks, "sleep", waits.append)
    monkeypatch.setattr(shardapi.tasks, "monotonic", lambda: next(clock))
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise OSError

    Task("bad", work, app.shard.problems).run()
    assert waits == [1, 2, 1]


def test_a_task_is_ended_by_the_shard_and_not_begun_anew(app: ShardApp) -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        gevent.sleep(60)

    greenlet = app.shard.spawn(Task("good", work, app.shard.problems).run)
    wait(lambda: runs)
    app.shard.retire()
    greenlet.join(5)
    assert greenlet.ready() and runs == [1] and app.shard.problems.counts == {}


@pytest.mark.parametrize(
    "error", ["OSError('secret')", "SystemExit(3)", "KeyboardInterrupt()", "gevent.GreenletExit()"]
)
def test_a_greenlet_of_a_plugin_that_raises_is_told_and_ends_nothing_else(
    run: MakeApp, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    spawning = "shard.spawn(work)\n    return Answer()\n\ndef work():\n    import gevent\n    raise " + error
    app = run(guest=GUEST.replace("return Answer()", spawning))
    assert ask(app, "/api/v1/guest").status_code == 200
    wait(lambda: app.shard.problems.counts == {("guest", "task"): 1})
    assert told(app) == [("guest", "task", f"work failed: {error.partition('(')[0].removeprefix('gevent.')}")]
    assert "plugin guest: task work failed" in caplog.text


@pytest.mark.parametrize("end", [gevent.Greenlet.kill, gevent.kill, lambda one: gevent.killall([one])])
def test_a_greenlet_of_a_plugin_that_is_told_to_end_is_no_problem(
    run: MakeApp, end: Callable[[gevent.Greenlet], None]
) -> None:
    spawning = "shard.begun = shard.spawn(work)\n    return Answer()\n\ndef work():\n"
    waits = "    import gevent\n    gevent.sleep(60)"
    app = run(guest=GUEST.replace("return Answer()", spawning + waits))
    ask(app, "/api/v1/guest")
    gevent.sleep(0)
    begun: gevent.Greenlet = app.shard.begun  # type: ignore[attr-defined]
    end(begun)
    begun.join(5)
    assert begun.ready() and app.shard.problems.counts == {}


def test_a_problem_is_told_for_an_hour_and_counted_for_ever(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, now = app.shard.problems, [1_800_000_000_000]
    monkeypatch.setattr(shardapi.problems.clock, "now", lambda: now[0])
    problems.failed("bad", "task", "work", OSError())
    now[0] += 1000
    problems.failed("bad", "task", "work", OSError())
    ((_, problem),) = problems.now()
    assert (problem.since, problem.last, problem.count) == (now[0] - 1000, now[0], 2)
    now[0] += QUIET_MS + 1
    assert problems.now() == [] and problems.counts == {("bad", "task"): 2}


def test_a_problem_that_comes_without_end_is_one_line_a_minute(
    app: ShardApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(shardapi.problems, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(1000):
        app.shard.problems.failed("bad", "task", "work", OSError("no\nluck"))
    now[0] += SAY_AGAIN_SECONDS
    app.shard.problems.failed("bad", "task", "work", OSError("no\nluck"))
    assert [record.getMessage() for record in caplog.records] == [
        "plugin bad: task work failed: OSError: no luck",
        "plugin bad: task work failed: OSError: no luck (and 999 times since it was last said)",
    ]


def test_what_was_left_out_is_said_when_the_shard_begins(
    run: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = run(guest="raise OSError('no luck')")
    assert caplog.records == []
    app.shard.problems.begin()
    assert [record.getMessage() for record in caplog.records] == [
        "plugin guest: cannot be loaded: OSError('no luck'); the shard runs without it"
    ]
    assert caplog.records[0].levelno == logging.ERROR


def _rename(app: ShardApp) -> Any:
    from shardapi.commands import SetOperation

    return SetOperation(open=not app.shard.guild.operation_open)


def wait(condition: Callable[[], Any]) -> None:
    """Let others run until it is so."""
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.001)
