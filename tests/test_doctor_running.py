"""`shardapi doctor` beside a running server, and through proxies that are right, and wrong in each way there is."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from faults import store

from shardapi import probe
from shardapi.cli import main
from shardapi.config import load
from shardapi.doctor import Case, Finding, ask, machine, proxy, running
from shardapi.process import Process
from shardapi.testing import Server

PEER = "127.0.0.2"  # the proxy's address, so that ours is that of no proxy
RIGHT = """
    proxy_http_version 1.1;
    proxy_bind 127.0.0.2;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $onward;
"""
WHOLE = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $onward {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{ {location} }}
    }}
}}
"""
FAILING = """
from shardapi import hookimpl

def fail(number):
    raise RuntimeError("the battery is empty")

@hookimpl
def shardapi_subscribers(app):
    return [fail]
"""


@pytest.fixture(scope="module")
def door() -> Iterator[socket.socket]:
    """Where proxies listen, one after another: its port is kept, so that the shard's public URL stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="module")
def shard(door: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shard behind whatever stands at the door, with a plugin that fails."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "own").mkdir()
    (folder / "own" / "tired.py").write_text(FAILING)
    environ = {
        "SHARDAPI_SERVER__PUBLIC_URL": f"http://127.0.0.1:{door.getsockname()[1]}",
        "SHARDAPI_SERVER__TRUSTED_PROXIES": PEER,
        "SHARDAPI_PLUGINS__DIR": str(folder / "own"),
    }
    server = Server(folder / "data", environ)
    server.env["NO_PROXY"] = "*"
    try:
        start_behind(server, environ["SHARDAPI_SERVER__PUBLIC_URL"])
        yield server
    finally:
        server.kill()


def start_behind(server: Server, public_url: str) -> None:
    """Start a shard that refuses to be asked under another name than its public one."""
    host = urlsplit(public_url).netloc
    request = server.request
    server.request = lambda method, path, body=None, **options: request(  # type: ignore[method-assign]
        method, path, body, **{**options, "headers": {"Host": host, **(options.get("headers") or {})}}
    )
    server.start()


def case_of(shard: Server, **environ: str) -> Case:
    """That shard, with other settings than it has itself."""
    changed = {f"SHARDAPI_{name}": value for name, value in environ.items()}
    return Case(load(environ={**shard.env, **changed}, data_dir=str(shard.data_dir)), "")


def gravest(found: list[Finding]) -> dict[str, Finding]:
    """The gravest finding of each name."""
    order = ["ok", "info", "warn", "error"]
    return {one.name: one for one in sorted(found, key=lambda one: order.index(one.level))}


# -- the server


def ran(shard: Server, **environ: str) -> dict[str, Finding]:
    """What is found about the server itself."""
    return gravest(list(running.look(case_of(shard, **environ))))


def test_a_server_that_runs_is_told(shard: Server) -> None:
    found = ran(shard)
    assert (found["server"].level, found["server.files"].level) == ("ok", "ok")


def test_a_plugin_that_fails_is_told(shard: Server) -> None:
    shard.net()
    shard.wait(lambda: "tired" in ran(shard)["plugins"].what, "the failure")
    found = ran(shard)["plugins"]
    assert found.level == "warn" and "fail failed: RuntimeError" in found.what and "battery" not in found.what


@pytest.mark.parametrize(("most", "level"), [(3000, "warn"), (0, "error")])
def test_too_few_descriptors_are_told(shard: Server, most: int, level: str) -> None:
    worker = shard.worker_pid
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{worker}/fd"))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (most or used + 3, hard))
    try:
        assert ran(shard)["server.files"].level == level
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_of_another_version_is_told(shard: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "VERSION", "9.9.9")
    monkeypatch.setattr(machine, "BOOTED", Path("/nowhere"))
    found = ran(shard)["server"]
    assert (found.level, found.do) == ("warn", "Restart it.")


def test_a_server_is_found_where_it_listens_whatever_the_settings_say(
    shard: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "BOOTED", tmp_path)
    found = ran(shard, SERVER__BIND="127.0.0.1:9")
    assert found["server"].level == "ok" and urlsplit(shard.url).netloc in found["server"].what
    assert found["server.bind"].level == "warn" and "shardapi.socket" in found["server.bind"].do
    for bind in (urlsplit(shard.url).netloc, f"localhost:{urlsplit(shard.url).port}", "127.0.0.1:25588"):
        assert "server.bind" not in ran(shard, SERVER__BIND=bind)


def test_a_server_on_a_unix_socket_is_found(shard: Server, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "shard.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        words = [sys.executable, "-m", "shardapi", "serve", "--data-dir", str(data)]
        script = (
            f"import os; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            f" os.execv({words[0]!r}, {words!r})"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**shard.env, "LISTEN_FDS": "1"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        case = Case(load(environ=shard.env, data_dir=str(data)), "")
        shard.wait(lambda: (data / "serve.lock").exists() and Process.serving(data), "the server", 20)
        found = gravest(list(running.look(case)))["server"]
        assert found.level == "ok" and found.what.endswith(f"on {path}")
    finally:
        process.terminate()
        process.wait(20)


def test_a_server_that_listens_elsewhere_is_told(shard: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Process, "serving", lambda _: None
    )  # as for a user who may not look into others' processes
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found = ran(shard, SERVER__BIND=f"127.0.0.1:{nobody.getsockname()[1]}")["server"]
    assert found.level == "error" and "connection refused" in found.what


def test_a_server_that_hangs_is_told(shard: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "PATIENCE_SECONDS", 0.3)
    os.kill(shard.worker_pid, signal.SIGSTOP)
    try:
        found = ran(shard)["server"]
    finally:
        os.kill(shard.worker_pid, signal.SIGCONT)
    assert found.level == "error" and "no answer within" in found.what


def test_a_server_with_another_secret_is_told(shard: Server) -> None:
    found = ran(shard, SIGNING_SECRET="x" * 48)["server"]
    assert found.level == "error" and "another signing secret" in found.what


def test_a_server_is_not_asked_with_settings_that_cannot_be_used(shard: Server) -> None:
    case = case_of(shard, SIGNING_SECRET="x" * 48)
    case.problem = "unknown setting"
    found = gravest([*running.look(case), *proxy.look(case)])
    assert {name: one.level for name, one in found.items()} == {"server": "info", "public": "info"}
    assert "settings cannot be used" in found["public"].what


def test_a_port_that_another_program_has_is_told(shard: Server, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    case = Case(load(environ=shard.env, data_dir=str(tmp_path / "data")), "")
    found = gravest(list(running.look(case)))
    assert (found["server"].level, found["server.bind"].level) == ("info", "error")


# -- through a proxy


Stand = Callable[..., None]


@pytest.fixture
def stand(door: socket.socket, shard: Server, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Have nginx stand at the door with what its `location` holds."""
    url = shard.url

    @contextmanager
    def nginx(location: str = "", more: str = RIGHT, tls: tuple[Path, Path] | None = None) -> Iterator[None]:
        passed = location if "return " in location else f"{more} {location}"
        if "return " not in location and "proxy_pass" not in location:
            passed += f" proxy_pass {url};"
        secured = f" ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}" if tls else ""
        file, port = tmp_path / "nginx.conf", door.getsockname()[1]
        file.write_text(WHOLE.format(folder=tmp_path, port=port, location=passed, tls=secured))
        handle = os.dup(door.fileno())
        os.set_inheritable(handle, True)
        process = subprocess.Popen(
            ["nginx", "-c", str(file), "-e", str(tmp_path / "error.log")],
            env={**os.environ, "NGINX": f"{handle};"},  # which hands it the open socket
            pass_fds=[handle],
            stderr=subprocess.DEVNULL,
        )
        os.close(handle)
        try:
            shard.wait(lambda: (tmp_path / "nginx.pid").exists() or process.poll() is not None, "nginx")
            assert process.poll() is None, (tmp_path / "error.log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(20)
            (tmp_path / "nginx.pid").unlink(missing_ok=True)

    yield nginx


def through(shard: Server, stream: bool = False, **environ: str) -> dict[str, Finding]:
    """What is found about the public URL; a look at the stream takes two seconds."""
    case = case_of(shard, **environ)
    case.answers, case.plugins = True, ["gateway"]
    with pytest.MonkeyPatch.context() as patch:
        if not stream:
            patch.setattr(proxy, "_stream", lambda *_: iter(()))
        return gravest(list(proxy.look(case)))


pytestmark = pytest.mark.debian("nginx")


def test_a_proxy_that_is_right_is_told_so(shard: Server, stand: Stand) -> None:
    with stand():
        found = through(shard, stream=True)
    assert {name: one.level for name, one in found.items()} == {
        "public.reach": "ok",
        "public.address": "ok",
        "public.stream": "ok",
        "public.websocket": "ok",
    }
    assert "127.0.0.1" in found["public.address"].what


def test_a_shard_without_a_proxy_is_told_so(shard: Server) -> None:
    found = through(shard, stream=True, SERVER__PUBLIC_URL=shard.url)
    assert found["public.address"].level == "info" and "no proxy" in found["public.address"].what
    assert found["public.address"].do
    assert found["public.stream"].level == "ok"


BARE = RIGHT.replace("Host $http_host", "Host 127.0.0.9")
UNSAID = RIGHT.replace("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", "")


@pytest.mark.parametrize(
    ("location", "more", "name", "level", "words"),
    [
        (
            "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;",
            RIGHT,
            "public.stream",
            "error",
            "holds back",
        ),
        (
            "",
            "proxy_bind 127.0.0.2; proxy_set_header Host $http_host;",
            "public.websocket",
            "error",
            "upgrade",
        ),
        ("", BARE, "public.host", "error", "Host: 127.0.0.9"),
        ('proxy_set_header X-Forwarded-For "";', UNSAID, "public.address", "warn", "does not say"),
        ("", UNSAID, "public.address", "error", "believes clients"),
        (
            "",
            RIGHT.replace("proxy_bind 127.0.0.2;", ""),
            "public.address",
            "warn",
            "127.0.0.1 is not trusted",
        ),
        ('proxy_set_header X-Shardapi-Probe "";', RIGHT, "public.reach", "error", "takes header fields away"),
        ("proxy_pass http://127.0.0.3:9;", RIGHT, "public.reach", "error", "answers 502"),
        (
            "return 301 https://elsewhere.example.com/;",
            RIGHT,
            "public.reach",
            "error",
            "elsewhere.example.com",
        ),
        ("return 200 hello;", RIGHT, "public.reach", "error", "not this shard: 200 of nginx"),
        ("return 444;", RIGHT, "public.reach", "error", "cannot be reached"),
    ],
)
def test_a_proxy_that_is_wrong_is_told(
    shard: Server, stand: Stand, location: str, more: str, name: str, level: str, words: str
) -> None:
    with stand(location, more):
        found = through(shard, stream=name == "public.stream")
    assert found[name].level == level and words in found[name].what and found[name].do


def test_a_proxy_is_to_point_to_where_the_server_listens(shard: Server, stand: Stand) -> None:
    with stand("proxy_pass http://127.0.0.3:9;"):
        found = through(shard, SERVER__BIND="127.0.0.1:25588")["public.reach"]
    assert found.do.startswith(f"Point it to {urlsplit(shard.url).netloc}, ")


def test_a_proxy_that_compresses_the_stream_is_told(shard: Server, stand: Stand) -> None:
    with stand("gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream;"):
        found = through(shard, stream=True)["public.stream"]
    assert found.level in ("warn", "error") and found.do


def test_a_proxy_on_an_address_that_clients_have_too_cannot_be_judged(shard: Server, stand: Stand) -> None:
    with stand():
        found = through(shard, SERVER__TRUSTED_PROXIES="127.0.0.0/8")
    assert found["public.address"].level == "info" and found["public.address"].do


def test_a_proxy_over_a_unix_socket_that_nobody_trusts_is_told(shard: Server) -> None:
    seen = probe.Seen(
        nonce="", version="", host="", address="", peer="", port="", forwarded=True, files=0, most_files=0
    )
    reply = ask.Reply(200, {}, b"", ("127.0.0.1", "50000"), seen)
    case = case_of(shard, SERVER__TRUSTED_PROXIES="")
    (found,) = proxy._address(case, ask.Door(shard.url), reply)
    assert found.level == "warn" and "trusted_proxies" in found.do


def test_a_name_that_does_not_resolve_is_told(shard: Server) -> None:
    found = through(shard, SERVER__PUBLIC_URL="http://shard.invalid")["public.reach"]
    assert found.level == "error" and "does not resolve" in found.what


def test_a_port_where_nobody_listens_is_told(shard: Server) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found = through(shard, SERVER__PUBLIC_URL=f"http://127.0.0.1:{nobody.getsockname()[1]}")[
            "public.reach"
        ]
    assert found.level == "error" and "connection refused" in found.what


# -- TLS


def certificate(folder: Path, days: float, name: str = "127.0.0.1", since: float = 90) -> tuple[Path, Path]:
    """A certificate that is its own authority, good for so many days, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the tests")])
    names = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=since))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return chain, private


@pytest.mark.parametrize(
    ("days", "name", "trusted", "level", "words"),
    [
        (80, "127.0.0.1", True, "ok", "good for 80 days"),
        (12, "127.0.0.1", True, "warn", "good for 12 days"),
        (3, "127.0.0.1", True, "error", "good for 3 days"),
        (-2, "127.0.0.1", True, "error", "expired"),
        (80, "shard.example.com", True, "error", "not valid"),
        (80, "127.0.0.1", False, "error", "self-signed"),
    ],
)
def test_certificates_are_judged(
    shard: Server,
    stand: Callable[..., object],
    tmp_path: Path,
    days: float,
    name: str,
    trusted: bool,
    level: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = certificate(tmp_path, days, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]) if trusted else os.devnull)
    with stand(tls=pair):
        found = through(shard, SERVER__PUBLIC_URL=public(shard).replace("http:", "https:"))
    assert found["public.tls"].level == level and words in found["public.tls"].what.replace(
        "self signed", "self-signed"
    )
    if level in ("ok", "warn"):
        assert found["public.websocket"].level == "ok"


def public(shard: Server) -> str:
    """The shard's public URL."""
    return shard.env["SHARDAPI_SERVER__PUBLIC_URL"]


def test_a_certificate_that_is_never_good_for_long_is_not_short(
    shard: Server, stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = certificate(tmp_path, days=4, since=2)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with stand(tls=pair):
        found = through(shard, SERVER__PUBLIC_URL=public(shard).replace("http:", "https:"))
    assert found["public.tls"].level == "ok"


def test_a_port_without_tls_is_told(shard: Server, stand: Stand) -> None:
    with stand():
        found = through(shard, SERVER__PUBLIC_URL=public(shard).replace("http:", "https:"))["public.tls"]
    assert found.level == "error" and "no TLS" in found.what


# -- all of it


def test_the_command_tells_it_all_and_leaves_nothing_behind(shard: Server, stand: Stand) -> None:
    def left() -> object:
        keys = [(key["id"], key["state"]) for key in shard.command("keys", "list")]
        paths = [entry["path"] for entry in shard.get("/audit").json()["entries"]]
        events = store.events(shard.data_dir)
        return keys, [path for path in paths if path != "/api/v1/audit"], events

    shard.key()
    before = left()
    with stand():
        done = CliRunner(env=shard.env).invoke(main, ["doctor", "--json", "--data-dir", str(shard.data_dir)])
    findings = json.loads(done.output)["findings"]
    assert [one for one in findings if one["level"] != "ok" and not one["do"]] == []
    levels = {one["name"]: one["level"] for one in findings}
    told = ("server", "public.reach", "public.stream", "public.websocket", "store.integrity", "settings")
    assert [levels[name] for name in told] == ["ok"] * len(told)
    assert left() == before
    assert shard.get("/roster").json()["operators"] == []
