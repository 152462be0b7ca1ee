"""Plugins: found, chosen, attached; what one may not do stops the start and names it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shardapi import ShardApp, create_app
from shardapi.config import Config, ConfigError, PluginSettings, load

HELLO = '''
import msgspec
from shardapi import Answer, EventType, Routes, Shard, ShardApp, hookimpl

hello = Routes("hello", "hello", scopes={"read:hello": "be greeted"})

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    greeting: str = "Hello"

class Greeting(Answer, kw_only=True):
    text: str

class Greeted(msgspec.Struct):
    text: str

@hello.get("/hello", scope="read:hello")
def read(shard: Shard) -> Greeting:
    """Greet."""
    return Greeting(text=shard.settings(Settings).greeting)

@hookimpl
def shardapi_blueprints(app: ShardApp) -> list[Routes]:
    return [hello]

@hookimpl
def shardapi_events() -> list[EventType]:
    return [EventType("hello.said", Greeted, "Somebody was greeted.")]
'''

MakeApp = Callable[..., ShardApp]


@pytest.fixture
def made(tmp_path: Path) -> MakeApp:
    """An app whose plugin folder holds files with these texts."""

    def make(enabled: tuple[str, ...] | None = None, tables: object = None, **files: str) -> ShardApp:
        folder = tmp_path / "plugins"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        settings = PluginSettings(enabled=enabled, dir=str(folder), tables=tables or {})  # type: ignore[arg-type]
        return create_app(Config(data_dir=str(tmp_path / "data"), plugins=settings))

    return make


def test_a_file_in_the_folder_is_a_plugin(made: MakeApp) -> None:
    app = made(hello=HELLO)
    _, secret = app.shard.keys.create("test", ["read:hello"])
    answer = app.test_client().get("/api/v1/hello", headers={"Authorization": f"Bearer {secret}"})
    assert answer.json is not None and answer.json["text"] == "Hello"
    assert "read:hello" in app.shard.plugins.all_scopes and "hello.said" in app.shard.events.types
    app.shard.close()


def test_its_table_is_decoded_into_its_settings(made: MakeApp) -> None:
    app = made(hello=HELLO, tables={"hello": {"greeting": "Ahoy"}})
    _, secret = app.shard.keys.create("test", ["read:hello"])
    answer = app.test_client().get("/api/v1/hello", headers={"Authorization": f"Bearer {secret}"})
    assert answer.json is not None and answer.json["text"] == "Ahoy"
    app.shard.close()


def test_what_is_not_listed_opens_nothing(made: MakeApp) -> None:
    app = made(enabled=("status",), hello=HELLO)
    assert {route.rule for route in app.shard.plugins.routes} == {"/health", "/ready", "/api/v1/status"}
    app.shard.close()


def test_a_star_in_the_list_is_all_that_run_without_one(made: MakeApp) -> None:
    usual, listed = made(hello=HELLO), made(enabled=("status", "*", "hello"), hello=HELLO)
    names = [[one.name for one in app.shard.plugins.loaded] for app in (usual, listed)]
    assert names[1][0] == "status" and sorted(names[1]) == names[0] and {"hello", "nets"} < set(names[0])
    for app in (usual, listed):
        app.shard.close()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("raise RuntimeError('no luck')", "plugin bad: cannot be loaded: RuntimeError('no luck')"),
        (HELLO.replace('read:hello": "be', 'read:other": "be'), "needs the unknown scope read:hello"),
        (HELLO.replace('"/hello", scope', '"/status", scope'), "GET /api/v1/status is taken by bad"),
        (HELLO.replace("hello.said", "user.joined"), "the event type user.joined is taken"),
        (HELLO.replace('"""Greet."""', ""), "a view has a sentence as its docstring"),
        (HELLO.replace(', scope="read:hello"', ""), "scope"),
        (
            HELLO + "\nimport shardapi\nclass HelloSaid(shardapi.Model):\n    pass\n",
            "the table hello_said of its HelloSaid is not there: there is no folder migrations beside it",
        ),
        (HELLO.replace("@hello.get", "@hello.put"), "PUT /hello: a call is GET, POST, PATCH or DELETE"),
        (
            HELLO.replace("return [hello]", "raise OSError('gone')"),
            "shardapi_blueprints failed: OSError('gone')",
        ),
        (
            HELLO.replace(
                "    return [hello]", "    hello.add_url_rule('/raw', 'raw', read)\n    return [hello]"
            ),
            "/api/v1/raw was added without a declaration and its scope",
        ),
    ],
)
def test_a_plugin_that_breaks_a_rule_stops_the_start_by_name(
    made: MakeApp, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        made(bad=text)
    assert complaint in str(raised.value) and "bad" in str(raised.value)


def test_an_unknown_setting_of_a_plugin_is_named(made: MakeApp) -> None:
    with pytest.raises(ConfigError, match="plugins.hello"):
        made(hello=HELLO, tables={"hello": {"loud": True}})


def test_an_unknown_name_lists_what_is_installed() -> None:
    with pytest.raises(ConfigError, match="plugin nope: there is no such plugin: .*installed: acars, "):
        create_app(load(environ={"SHARDAPI_PLUGINS__ENABLED": "nope"}))


@pytest.mark.parametrize(
    ("view", "complaint"),
    [
        ('@hello.post("/hello", scope="read:hello")\ndef say() -> Greeting:', "a write takes `write: Write`"),
        ('@hello.get("/other", scope="read:hello")\ndef say(q: Greeting) -> Greeting:', "nothing provides q"),
        ('@hello.get("/<name>", scope="read:hello")\ndef say(name) -> Greeting:', "nothing provides name"),
    ],
)
def test_a_view_that_asks_for_what_nothing_provides_fails_at_import(
    made: MakeApp, view: str, complaint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        made(bad=HELLO + f'\n{view}\n    """Say it."""\n    return Greeting(text="")\n')
    assert complaint in str(raised.value) and "plugin bad" in str(raised.value)


def test_a_hook_may_leave_out_what_it_does_not_use(made: MakeApp) -> None:
    app = made(hello=HELLO.replace("shardapi_blueprints(app: ShardApp)", "shardapi_blueprints()"))
    assert "/api/v1/hello" in {route.rule for route in app.shard.plugins.routes}
    app.shard.close()


def test_a_hook_that_does_not_exist_stops_the_start_by_name(made: MakeApp) -> None:
    with pytest.raises(ConfigError, match="plugin bad"):
        made(bad=HELLO + "\n@hookimpl\ndef shardapi_nonsense():\n    return []\n")
