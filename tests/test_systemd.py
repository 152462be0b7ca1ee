"""The units are what systemd can run, closed to all that the shard does not need; `install-systemd` fills them in."""

import configparser
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shardapi import units
from shardapi.cli import main
from shardapi.config import Config, ConfigError, ServerSettings, load
from shardapi.units import OF_MANY, PLAIN, Place

ROOT = Path(__file__).resolve().parents[1]
SYSTEMD = ROOT / "systemd"
SERVICES = sorted(path.name for path in SYSTEMD.glob("*.service"))
MOST_EXPOSED = 1.2


def read(text: str) -> configparser.ConfigParser:
    """A unit's settings; of one that stands there several times, the last."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def service(name: str) -> configparser.SectionProxy:
    """The [Service] of a unit in the tree."""
    return read((SYSTEMD / name).read_text("utf-8"))["Service"]


def complaints(folder: Path, *options: str) -> list[str]:
    """What systemd has to say about units, besides that the program is not installed here."""
    files = [
        str(path) for path in sorted(folder.iterdir()) if path.suffix in (".service", ".socket", ".timer")
    ]
    done = subprocess.run(
        ["systemd-analyze", "verify", *options, *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    return [line for line in said if "shardapi" in line]


def exposure(text: str, folder: Path) -> float:
    """How much systemd thinks a service is exposed, 0 to 10."""
    file = folder / "exposed.service"
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def test_there_are_no_units_but_those_that_are_installed() -> None:
    assert {path.name for path in SYSTEMD.iterdir()} == {*PLAIN, *OF_MANY}


@pytest.mark.debian("systemd-analyze")
def test_systemd_knows_all_that_the_units_say() -> None:
    assert complaints(SYSTEMD) == []


@pytest.mark.debian("systemd-analyze")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_to_what_it_does_not_need(name: str, tmp_path: Path) -> None:
    assert exposure((SYSTEMD / name).read_text("utf-8"), tmp_path) <= MOST_EXPOSED


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_are_closed_in_the_same_way(name: str) -> None:
    def fences(unit: str) -> list[str]:
        text = (SYSTEMD / unit).read_text("utf-8")
        return text[text.index("\nCapabilityBoundingSet=") :].split("\n\n[Install]")[0].split()

    assert fences(name) == fences("shardapi.service")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_a_command_that_exists_as_its_own_user(name: str) -> None:
    program, *words = shlex.split(service(name)["ExecStart"].replace("%S", "/var/lib"))
    assert program == "/opt/shardapi/bin/shardapi"
    command = main.commands[words[0]]
    command.make_context(words[0], words[1:])  # else a usage error
    assert service(name)["DynamicUser"] == "yes"
    variables = re.findall(r"^Environment=(\w+)=", (SYSTEMD / name).read_text("utf-8"), re.MULTILINE)
    assert variables == ["SHARDAPI_DATA_DIR", "SHARDAPI_CONFIG"]


@pytest.mark.parametrize("many", ["", "@"])
def test_a_backup_is_made_by_the_user_of_the_service(many: str) -> None:
    shard, backup = service(f"shardapi{many}.service"), service(f"shardapi-backup{many}.service")
    assert shard["User"] == backup["User"], "systemd would give the data to another user"
    assert shard["StateDirectory"] == backup["StateDirectory"].split()[0]
    assert backup["ExecStart"].split()[-1] == f"%S/{backup['StateDirectory'].split()[1]}"


# -- install-systemd


def install(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["install-systemd", *words])


def texts(folder: Path) -> dict[str, str]:
    """What a folder has."""
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def place(**others: object) -> Place:
    """An installation in /opt."""
    known = Place(Path("/opt/shardapi/bin/shardapi"), ROOT, units.SYSTEM_SETTINGS, None)
    return known._replace(**others)  # type: ignore[arg-type]


@pytest.mark.debian("systemd-analyze")
def test_units_are_written_for_this_installation(tmp_path: Path) -> None:
    done = install("--dir", str(tmp_path / "units"))
    assert done.exit_code == 0, done.output
    written = texts(tmp_path / "units")
    assert set(written) == {*PLAIN, *OF_MANY}
    program = units.program()
    for name in SERVICES:
        assert f"ExecStart={program} " in written[name] and "/opt/shardapi" not in written[name]
    assert complaints(tmp_path / "units") == []
    assert f"The units are in {tmp_path / 'units'}" in done.output


@pytest.mark.debian("systemd-analyze")
def test_units_of_a_user_ask_for_no_more_than_users_may(tmp_path: Path) -> None:
    done = install("--user", "--dir", str(tmp_path), "--data-dir", "/home/ann/shard")
    assert done.exit_code == 0, done.output
    written = texts(tmp_path)
    assert set(written) == set(PLAIN)
    assert "WantedBy=default.target" in written["shardapi.service"]
    assert "shardapi backup --keep 14 /home/ann/shard-backups\n" in written["shardapi-backup.service"]
    assert "SHARDAPI_DATA_DIR=/home/ann/shard\n" in written["shardapi-backup.service"]
    for name in ("shardapi.service", "shardapi-backup.service"):
        kept = {*read(written[name])["Service"]}
        assert not kept & {"DynamicUser", "User", "StateDirectory", "ProtectSystem", "PrivateUsers"}
        assert "NoNewPrivileges" in kept
        assert "credstore" not in written[name]
    assert complaints(tmp_path, "--user") == []


def test_the_socket_listens_where_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "shardapi.toml"
    file.write_text("[server]\nbind = '[::1]:7000'\n")
    assert install("--dir", str(tmp_path / "units"), "--config", str(file)).exit_code == 0
    written = texts(tmp_path / "units")
    assert "ListenStream=[::1]:7000\n" in written["shardapi.socket"]
    assert f"SHARDAPI_CONFIG={file}\n" in written["shardapi.service"]


@pytest.mark.parametrize("bind", ["shard.example.com:80", "127.0.0.1:0"])
def test_an_address_that_no_socket_can_have_is_refused(bind: str) -> None:
    with pytest.raises(ConfigError, match="socket of systemd"):
        units.filled(place(), Config(server=ServerSettings(bind=bind)))


def test_a_folder_of_the_machine_is_kept_by_systemd() -> None:
    written = units.filled(place(data=Path("/var/lib/radio")), Config())
    assert service_of(written, "shardapi.service")["StateDirectory"] == "radio"
    assert service_of(written, "shardapi-backup.service")["StateDirectory"] == "radio shardapi-backups"
    assert "SHARDAPI_DATA_DIR=%S/radio\n" in written["shardapi-backup.service"]


@pytest.mark.debian("systemd-analyze")
@pytest.mark.root
def test_a_folder_elsewhere_is_used_by_its_owner(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(ConfigError, match="No such file or directory; make it"):
        units.filled(place(data=data), Config())
    data.mkdir()
    with pytest.raises(ConfigError, match="belongs to root"):
        units.filled(place(data=data), Config())
    os.chown(data, 1, 1)
    written = units.filled(place(data=data), Config())
    for name in ("shardapi.service", "shardapi-backup.service"):
        found = service_of(written, name)
        assert (found["User"], found["ReadWritePaths"]) == ("daemon", str(data))
        assert "DynamicUser" not in found
        assert exposure(written[name], tmp_path) <= 1.5  # a user of its own is what it lacks
    for name, text in written.items():
        (data / name).write_text(text)
    assert complaints(data) == []


def service_of(written: dict[str, str], name: str) -> configparser.SectionProxy:
    """The [Service] of one that was filled in."""
    return read(written[name])["Service"]


def test_units_that_say_something_else_are_left_alone(tmp_path: Path) -> None:
    assert install("--dir", str(tmp_path)).exit_code == 0
    before = texts(tmp_path)
    assert install("--dir", str(tmp_path)).exit_code == 0, "what is the same is no reason to refuse"
    (tmp_path / "shardapi.socket").write_text("mine")
    (tmp_path / "shardapi.service").unlink()
    done = install("--dir", str(tmp_path))
    assert done.exit_code == 1
    assert "shardapi.socket" in done.output and "--force" in done.output
    assert (tmp_path / "shardapi.socket").read_text() == "mine" and not (
        tmp_path / "shardapi.service"
    ).exists()
    assert install("--dir", str(tmp_path), "--force").exit_code == 0
    assert texts(tmp_path) == before


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a machine that has none yet; its units lie beside."""
    monkeypatch.setattr(units, "obstacle", lambda _: "")  # these tests may be installed anywhere
    monkeypatch.setattr(units, "SYSTEM_FOLDER", tmp_path / "units")
    monkeypatch.setattr(units, "SYSTEM_SETTINGS", tmp_path / "etc" / "shardapi.toml")
    return tmp_path / "etc" / "shardapi.toml"


def test_new_settings_begin_with_a_public_url_behind_a_proxy_of_this_machine(machine: Path) -> None:
    before = os.umask(0o077)
    try:
        done = install("--public-url", "https://shard.example.com")
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(machine.stat().st_mode) == 0o644, "the user of the service reads them"
    assert stat.S_IMODE(machine.parent.stat().st_mode) == 0o755
    server = load(machine, environ={}).server
    assert server.public_url == "https://shard.example.com"
    assert server.trusted_proxies == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("url", "words"), [("shard.example.com", "write a URL"), ("https://a.b", "is there already")]
)
def test_a_public_url_that_could_not_be_written_writes_nothing(machine: Path, url: str, words: str) -> None:
    machine.parent.mkdir()
    machine.write_text("# mine\n")
    done = install("--public-url", url)
    assert done.exit_code == 1 and words in done.output
    assert machine.read_text() == "# mine\n" and not units.SYSTEM_FOLDER.exists()


def test_without_root_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    done = install("--dir", str(tmp_path / "system"))
    assert done.exit_code == 1
    assert "run it as root, or with --user" in done.output


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/tmp/venv/bin/shardapi", "a /tmp of its own"),
        ("/home/ann/venv/bin/shardapi", "who cannot read this"),
    ],
)
def test_what_the_service_could_not_run_is_said(program: str, why: str) -> None:
    assert why in units.obstacle(place(program=Path(program)))
    assert units.obstacle(place(program=Path(program), user=True)) == ""


@pytest.fixture
def open_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that anybody may run, wherever these tests are."""
    monkeypatch.setattr(units.sys, "executable", "/bin/sh")


@pytest.mark.parametrize(
    ("settings", "why"),
    [("/tmp/shardapi.toml", "a /tmp of its own"), ("/root/shardapi.toml", "who cannot read this")],
)
@pytest.mark.usefixtures("open_program")
def test_settings_that_the_service_could_not_read_are_said(settings: str, why: str) -> None:
    found = units.obstacle(place(program=Path("/bin/sh"), settings=Path(settings)))
    assert found.startswith(settings) and why in found and "/etc/shardapi" in found


@pytest.mark.usefixtures("open_program")
def test_settings_that_only_their_owner_may_read_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(units, "PRIVATE", ())  # where tests are
    monkeypatch.setattr(units, "HOMES", ())
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    found = place(program=Path("/bin/sh"), settings=tmp_path / "shardapi.toml")
    assert units.obstacle(found) == "", "what is made anew is for all"
    found.settings.touch()
    found.settings.chmod(0o644)
    assert units.obstacle(found) == ""
    found.settings.chmod(0o600)
    assert "who cannot read this" in units.obstacle(found)


@pytest.mark.parametrize("path", ["/opt/my shard", "/opt/100%", '/opt/"', "/opt/a\nb"])
def test_a_path_that_systemd_would_misread_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="misread"):
        units.filled(place(settings=Path(path)), Config())
