"""systemd's units, filled in for one installation: where the program, the settings and the data are."""

import os
import pwd
import re
import stat
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from .config import Config, ConfigError, host_and_port

PLAIN = ("shardapi.service", "shardapi.socket", "shardapi-backup.service", "shardapi-backup.timer")
OF_MANY = ("shardapi@.service", "shardapi@.socket", "shardapi-backup@.service", "shardapi-backup@.timer")
PREFIX = "/opt/shardapi"
STATE = Path("/var/lib")
SYSTEM_FOLDER, SYSTEM_SETTINGS = Path("/etc/systemd/system"), Path("/etc/shardapi/shardapi.toml")
HOMES = ("/home/", "/root/", "/run/user/")
PRIVATE = ("/tmp/", "/var/tmp/")
REMARK = re.compile(r"\A(#.*\n)*")
PLAIN_PATH = re.compile(r"/[\w./@+~:,=-]*")
# What needs more than a user's own systemd may do, or is for the machine's alone.
NOT_FOR_USERS = re.compile(
    r"(DynamicUser|User|StateDirectory|StateDirectoryMode|ConfigurationDirectory|LoadCredential|CapabilityBoundingSet"
    r"|AmbientCapabilities|Protect\w+|Private\w+|ProcSubset|RemoveIPC|UMask)=.*\n",
)
ABOUT_SECRETS = re.compile(r"(?:#.*\n)+(?=LoadCredential=)")


class Place(NamedTuple):
    """Where an installation is; `data` is None for the folder that systemd keeps for the service."""

    program: Path
    share: Path
    settings: Path
    data: Path | None
    user: bool = False


def share() -> Path:
    """The folder with conf/ and systemd/: of what is installed, else of the checkout."""
    installed = Path(sys.prefix) / "share" / "shardapi"
    return installed if (installed / "systemd").is_dir() else Path(__file__).resolve().parents[1]


def program() -> Path:
    """The command `shardapi` of this very installation. Raises ConfigError."""
    found = Path(sys.executable).with_name("shardapi")
    if not found.exists():
        raise ConfigError(
            f"there is no {found}: install shardapi into a virtual environment, and run its own"
        )
    return found


def filled(place: Place, config: Config) -> dict[str, str]:
    """Each unit's text by its name. Raises ConfigError."""
    for path in (place.program, place.share, place.settings, *([place.data] if place.data else [])):
        if not PLAIN_PATH.fullmatch(str(path)):
            raise ConfigError(
                f"{path}: systemd would misread this path; take one of letters, digits and - _ ."
            )
    names = PLAIN if place.user else PLAIN + OF_MANY
    texts = {name: (place.share / "systemd" / name).read_text("utf-8") for name in names}
    for name, text in texts.items():
        text = text.replace(f"{PREFIX}/bin/shardapi", str(place.program))
        text = text.replace(f"{PREFIX}/share/shardapi", str(place.share))
        if name in PLAIN:
            text = REMARK.sub(
                f"# Written by `shardapi install-systemd`; change it by `systemctl edit {name}`.\n", text
            )
            text = text.replace("%E/shardapi/shardapi.toml", str(place.settings))
            text = text.replace("ListenStream=127.0.0.1:25588", f"ListenStream={_address(config)}")
            text = _for_user(place, text) if place.user else _with_data(place, text)
        texts[name] = text
    return texts


def _address(config: Config) -> str:
    host, port = host_and_port(config.server.bind)
    host = "127.0.0.1" if host == "localhost" else host
    try:
        shown = f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        raise ConfigError(
            f'server.bind: a socket of systemd needs an address, not the name "{host}"'
        ) from None
    if port == 0:
        raise ConfigError("server.bind: a socket of systemd needs a port of its own, not 0")
    return f"{shown}:{port}"


def _for_user(place: Place, text: str) -> str:
    assert place.data is not None
    text = NOT_FOR_USERS.sub("", ABOUT_SECRETS.sub("", text))
    text = text.replace("network-online.target ", "").replace("multi-user.target", "default.target")
    return text.replace("%S/shardapi-backups", f"{place.data}-backups").replace(
        "%S/shardapi", str(place.data)
    )


def _with_data(place: Place, text: str) -> str:
    if place.data is None or place.data == STATE / "shardapi":
        return text
    if place.data.parent == STATE:
        name = place.data.name
        return text.replace("StateDirectory=shardapi\n", f"StateDirectory={name}\n").replace(
            "StateDirectory=shardapi ", f"StateDirectory={name} "
        ).replace("SHARDAPI_DATA_DIR=%S/shardapi\n", f"SHARDAPI_DATA_DIR=%S/{name}\n")  # fmt: skip
    owner = _owner(place.data)
    text = text.replace("DynamicUser=yes\nUser=shardapi\n", f"User={owner}\nReadWritePaths={place.data}\n")
    text = text.replace("StateDirectory=shardapi\nStateDirectoryMode=0700\n", "")
    text = text.replace("StateDirectory=shardapi ", "StateDirectory=")
    text = text.replace("SHARDAPI_DATA_DIR=%S/shardapi\n", f"SHARDAPI_DATA_DIR={place.data}\n")
    paths = (place.data, place.program, place.settings)
    if any(str(path).startswith(HOMES) for path in paths):
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")
    return text


def _owner(data: Path) -> str:
    make = f"install -d -m 700 -o USER {data}"
    try:
        owner = pwd.getpwuid(data.stat().st_uid)
    except OSError as error:
        raise ConfigError(f"data folder {data}: {error.strerror}; make it: {make}") from None
    except KeyError:
        raise ConfigError(f"data folder {data} belongs to nobody; give it to one user: {make}") from None
    if owner.pw_uid == 0:
        raise ConfigError(f"data folder {data} belongs to root; give it to a user who may do less: {make}")
    return owner.pw_name


def obstacle(place: Place) -> str:
    """Why the service could not run what is installed here, or read its settings, and what to do; or ""."""
    if place.user:
        return ""
    own_user = place.data is None or place.data.parent == STATE
    install = "Install it where all may read: python3 -m venv /opt/shardapi"
    for path, do in (
        (place.program, install),
        (Path(os.path.realpath(sys.executable)), install),
        (place.settings, f"Put the settings where all may read, such as {SYSTEM_SETTINGS}"),
    ):
        if str(path).startswith(PRIVATE):
            return f"{path}: the service has a /tmp of its own. {do}"
        if own_user and (str(path).startswith(HOMES) or not _open_to_all(path)):
            return f"{path}: the service runs as a user of its own, who cannot read this. {do}"
    return ""


def _open_to_all(path: Path) -> bool:
    """Whether anybody may read it; what is not there yet will be made so."""
    above = [parent for parent in path.parents if parent.exists()]
    readable = not path.exists() or path.stat().st_mode & stat.S_IROTH
    return bool(readable) and all(parent.stat().st_mode & stat.S_IXOTH for parent in above)
