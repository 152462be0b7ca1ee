"""Settings: defaults, file, environment, each over the one before; what is unknown or wrong is one clear line."""

from pathlib import Path

import pytest

from shardapi.config import Config, ConfigError, Rate, host_and_port, load


def written(tmp_path: Path, text: str) -> Path:
    """A settings file."""
    file = tmp_path / "shard.toml"
    file.write_text(text, "utf-8")
    return file


def refused(file: Path | None = None, **environ: str) -> str:
    """The one line with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load(file, {f"SHARDAPI_{name}": value for name, value in environ.items()})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def environ(**settings: str) -> Config:
    """What comes of these variables."""
    return load(None, {f"SHARDAPI_{name}": value for name, value in settings.items()})


def test_without_settings_the_defaults_are_in_force() -> None:
    config = load(None, {})
    assert config.server.bind == "127.0.0.1:25588" and config.server.public_url == ""
    assert (config.limits.default.count, config.limits.default.seconds) == (120, 60)
    assert (config.limits.acars.count, config.limits.auth_failures.count) == (1, 30)
    assert (config.events.keep_hours, config.events.keep_count) == (24, 100_000)
    assert config.central.premium is True and config.central.max_nets == 50
    assert config.plugins.enabled is None
    assert config.folder == Path("shard-data").absolute()


def test_the_file_is_read(tmp_path: Path) -> None:
    text = """
        data_dir = "/tmp/x"
        [guild]
        id = "42"
        name = "Türme"
        [server]
        bind = "[::1]:80"
        trusted_proxies = ["10.0.0.0/8"]
        [limits]
        default = "5/10 second"
        [plugins]
        enabled = ["status", "gateway"]
        [plugins.gateway]
        sockets_per_user = 2
    """
    config = load(written(tmp_path, text), {})
    assert (config.guild.id, config.guild.name, config.data_dir) == ("42", "Türme", "/tmp/x")
    assert config.server.trusted_proxies == ("10.0.0.0/8",)
    assert (config.limits.default.count, config.limits.default.seconds) == (5, 10)
    assert config.plugins.enabled == ("status", "gateway")
    assert config.plugins.tables == {"gateway": {"sockets_per_user": 2}}


def test_a_variable_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'guild.name = "From the file"')
    assert environ(CONFIG=str(file)).guild.name == "From the file"


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[guild]\nname = "File"\nid = "7"\n')
    config = load(file, {"SHARDAPI_GUILD__NAME": "Variable"})
    assert (config.guild.name, config.guild.id) == ("Variable", "7")


def test_the_data_folder_of_the_command_line_wins_over_all(tmp_path: Path) -> None:
    file = written(tmp_path, 'data_dir = "file"')
    assert load(file, {"SHARDAPI_DATA_DIR": "variable"}, data_dir="option").data_dir == "option"


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False), ("True", True)]
)
def test_a_switch_is_set_by_a_variable(text: str, value: bool) -> None:
    assert environ(CENTRAL__PREMIUM=text).central.premium is value


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("status", ("status",)),
        ("status, roster", ("status", "roster")),
        ('["status", "roster"]', ("status", "roster")),
        ("", ()),
        ("[]", ()),
    ],
)
def test_a_list_is_set_by_a_variable(text: str, names: tuple[str, ...]) -> None:
    assert environ(PLUGINS__ENABLED=text).plugins.enabled == names


def test_a_plugins_settings_come_from_variables_too() -> None:
    assert environ(PLUGINS__GATEWAY__SOCKETS_PER_USER="3").plugins.tables == {
        "gateway": {"sockets_per_user": "3"}
    }


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load(None, {"SHARD": "x", "PATH": "/bin", "XSHARDAPI_NAME": "y"}) == load(None, {})


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    assert environ(SIGNING_SECRET_FILE=str(tmp_path / "secret")).signing_secret == "hush"
    line = refused(SIGNING_SECRET_FILE=str(tmp_path / "gone"))
    assert "SHARDAPI_SIGNING_SECRET_FILE" in line and "gone" in line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1", "colour"),
        ("[server]\nport = 1", "server.port"),
        ("[servers]\nbind = 'x:1'", "servers"),
        ("[plugins]\nenabled = []\ncolour = 1", "plugins.colour"),
        ("[limits]\ndefaults = '1/minute'", "limits.defaults"),
    ],
)
def test_an_unknown_key_in_the_file_is_an_error_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    line = refused(written(tmp_path, text))
    assert f"unknown setting {named}" in line


@pytest.mark.parametrize("name", ["COLOUR", "SERVER__PORT", "SERVERBIND"])
def test_an_unknown_variable_is_an_error_that_names_it(name: str) -> None:
    assert f"SHARDAPI_{name}" in refused(None, **{name: "1"})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[central]\nmax_nets = 51", "central.max_nets"),
        ("[central]\nmax_nets = 0", "central.max_nets"),
        ("[central]\npremium = 'perhaps'", "central.premium"),
        ("[events]\nkeep_hours = 0", "events.keep_hours"),
        ("[guild]\nid = 'a b'", "guild.id"),
        ('[guild]\nid = "42\\n"', "guild.id"),
        ("[guild]\nname = 5", "guild.name"),
        (f"[guild]\nname = '{'n' * 65}'", "guild.name"),
        ("[limits]\ndefault = 5", "limits.default"),
        ("[server]\nbind = 'localhost'", "server.bind"),
        ("[server]\nbind = 'localhost:http'", "server.bind"),
        ("[server]\nbind = 'localhost:65536'", "server.bind"),
        ("[server]\npublic_url = 'shard.example.com'", "server.public_url"),
        ("[server]\ntrusted_proxies = ['proxy']", "server.trusted_proxies"),
        ("server = 5", "server"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_setting(tmp_path: Path, text: str, named: str) -> None:
    assert named in refused(written(tmp_path, text))


@pytest.mark.parametrize("text", ["= 1", "a = ", "[guild", "\x00"])
def test_a_file_that_is_not_toml_is_told_as_such(tmp_path: Path, text: str) -> None:
    assert "not valid TOML" in refused(written(tmp_path, text))


def test_a_file_that_is_not_utf_8_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "shard.toml").write_bytes(b'[guild]\nname = "\xff"')
    assert "not valid TOML" in refused(tmp_path / "shard.toml")


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    assert "gone.toml" in refused(tmp_path / "gone.toml")
    assert str(tmp_path) in refused(tmp_path)  # a folder


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("120/minute", 120, 60),
        ("1/second", 1, 1),
        ("3/hour", 3, 3600),
        ("10/day", 10, 86_400),
        ("5/10 second", 5, 10),
        ("5/2minute", 5, 120),
        (" 5/minute ", 5, 60),
    ],
)
def test_a_limit_is_a_count_in_a_span(text: str, count: int, seconds: int) -> None:
    rate = Rate.parse(text)
    assert (rate.count, rate.seconds) == (count, seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "0/minute", "-1/minute", "5/0 second", "5/week", "1.5/minute", "a/minute"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="COUNT/minute"):
        Rate.parse(text)
    assert "limits.default" in refused(LIMITS__DEFAULT=text)


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:0", "::1", 0),
        (":25588", "0.0.0.0", 25588),
        ("a.b:1", "a.b", 1),
    ],
)
def test_a_bind_is_a_host_and_a_port(bind: str, host: str, port: int) -> None:
    assert host_and_port(bind) == (host, port)
