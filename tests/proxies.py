"""Real proxies with the samples of conf/, in which nothing is changed but where things are; and what a client sees."""

import datetime
import http.client
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CONF = Path(__file__).resolve().parents[1] / "conf"
NAME = "shard.example.com"
CALLER = "127.0.0.7"  # whose address the shard must see; the proxies' own is 127.0.0.1
START_SECONDS = 20.0


class Place(NamedTuple):
    """Where a proxy runs: its folder, the shard's HOST:PORT, its own ports, a certificate with its key.

    Without `tls` the port of https is one of http, for crowds whose handshakes would take the machine.
    """

    folder: Path
    shard: str
    http: int
    https: int
    pem: Path
    tls: bool


def moved(text: str, *changes: tuple[str, str]) -> str:
    """A sample with each of these changed; each must be there."""
    for old, new in changes:
        assert old in text, f"the sample has no {old!r}"
        text = text.replace(old, new)
    return text


def nginx(place: Place) -> list[str]:
    """The site, in Debian's nginx.conf as far as it matters, with the two lines that the site asks for."""
    sample = (CONF / "nginx.conf").read_text()
    site = moved(
        re.sub(r".*listen \[::\].*\n", "", sample),
        ("127.0.0.1:25588", place.shard),
        ("listen 80;", f"listen 127.0.0.1:{place.http};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{place.https}{' ssl http2' * place.tls};"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(place.pem)),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(place.pem)),
        ("/var/log/nginx/", f"{place.folder}/"),
    )
    (place.folder / "site.conf").write_text(site)
    asked = "\n".join(line[1:] for line in sample.splitlines() if re.match(r"#(worker|events)", line))
    paths = "".join(
        f"{kind}_temp_path {place.folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = place.folder / "nginx.conf"
    owner = "user root;\n" if os.geteuid() == 0 else ""  # who else may not write where a test does
    main.write_text(
        f"{owner}daemon off;\npid {place.folder}/pid;\nerror_log {place.folder}/error.log;\n{asked}\n"
        f"http {{\nsendfile on;\ntcp_nopush on;\ngzip on;\n{paths}include {place.folder}/site.conf;\n}}\n"
    )
    return ["nginx", "-c", str(main), "-p", str(place.folder), "-e", f"{place.folder}/error.log"]


def caddy(place: Place) -> list[str]:
    """The Caddyfile, with a certificate of Caddy's own making in place of one from the internet."""
    http, https = (place.http, place.https) if place.tls else (place.https, place.http)
    local = (
        f"{{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\thttp_port {http}\n"
        f"\thttps_port {https}\n\tdefault_bind 127.0.0.1\n\tstorage file_system {place.folder}/store\n\t#"
    )
    file = place.folder / "Caddyfile"
    file.write_text(
        moved(
            (CONF / "Caddyfile").read_text(),
            ("127.0.0.1:25588", place.shard),
            ("\n{\n\t#", f"\n{local}"),
            (f"\n{NAME} {{", f"\n{'' if place.tls else 'http://'}{NAME} {{"),
        )
    )
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


def haproxy(place: Place) -> list[str]:
    """The whole configuration, as whoever runs the tests."""
    file = place.folder / "haproxy.cfg"
    file.write_text(
        moved(
            (CONF / "haproxy.cfg").read_text(),
            ("127.0.0.1:25588", place.shard),
            ("bind :80\n", f"bind 127.0.0.1:{place.http}\n"),
            (f"/etc/haproxy/certs/{NAME}.pem", str(place.pem)),
            ("bind :443 ssl", f"bind 127.0.0.1:{place.https} {'ssl' if place.tls else '#'}"),
            ("{ ssl_fc }", "{ ssl_fc }" if place.tls else f"{{ dst_port {place.https} }}"),
            ("log /dev/log local0", "log stdout format raw local0"),
            ("    user haproxy\n    group haproxy\n", ""),
        )
    )
    return ["haproxy", "-db", "-f", str(file)]


SAMPLES = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


class Proxy:
    """A proxy before a shard; a context manager."""

    def __init__(self, kind: str, folder: Path, shard: str, tls: bool = True) -> None:
        self.kind, self.folder = kind, folder
        folder.mkdir()
        http_port, https_port = free_ports(2)
        self.place = Place(folder, shard, http_port, https_port, certificate(folder / "shard.pem"), tls)
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def __enter__(self) -> "Proxy":
        command = SAMPLES[self.kind](self.place)
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "XDG_CONFIG_HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                sock = self.connect() if self.place.tls else self.connect_plainly(self.place.https)
                return sock.close()
            except OSError as error:
                running = self.process.poll() is None and time.monotonic() < until
                assert running, f"{self.kind} does not answer: {error}\n{self.logs()}"
                time.sleep(0.02)

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def logs(self) -> str:
        """All it has written: its output and its log files."""
        files = [self.folder / "output", *self.folder.glob("*.log")]
        return "\n".join(file.read_text() for file in files)

    # -- a client's side

    def connect(self, source: str = CALLER, timeout: float = 30.0) -> ssl.SSLSocket:
        """A connection with TLS, from one of this machine's addresses."""
        plain = self.connect_plainly(self.place.https, source, timeout)
        try:
            return self.context.wrap_socket(plain, server_hostname=NAME)
        except BaseException:
            plain.close()
            raise

    def connect_plainly(self, port: int, source: str = CALLER, timeout: float = 30.0) -> socket.socket:
        """A connection without TLS."""
        return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))

    @contextmanager
    def asked(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *headers: tuple[str, str],
        host: str = NAME,
        source: str = CALLER,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request on a connection of its own."""
        connection = http.client.HTTPConnection(NAME)
        with self.connect(source) as connection.sock:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if body is not None:
                headers = (*headers, ("Content-Length", str(len(body))))
            for name, value in (("Host", host), *headers):
                connection.putheader(name, value)
            with suppress(
                BrokenPipeError, ConnectionResetError, ssl.SSLEOFError
            ):  # an answer may come before
                connection.endheaders(body)
            with connection.getresponse() as answer:
                yield answer


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def certificate(file: Path) -> Path:
    """A self-signed certificate and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file
