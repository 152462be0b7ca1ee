"""Whether the settings can be used, and what is unwise in them."""

import tomllib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import click

from ..cli.options import assembled
from ..config import ConfigError, ServerSettings, host_and_port
from .case import Case
from .finding import Finding, error, info, ok, warn

WIDEST = {4: 8, 6: 16}  # bits of a network that could be one's own
READ_BY_OTHERS = 0o004


def look(case: Case) -> Iterator[Finding]:
    """Load them as `serve` does, plugins too, on a shard that is thrown away."""
    said = case.file or "the defaults and the environment"
    if case.problem:
        yield error(
            "settings", case.problem, "Correct it; conf/shardapi.toml has every setting with a sentence."
        )
        return
    try:
        with assembled(case.settings) as app:
            case.plugins = [plugin.name for plugin in app.shard.plugins.loaded]
            left_out = [str(one) for one in app.shard.problems.left_out]
    except (click.ClickException, ConfigError) as refused:
        yield error("settings", str(refused), "Correct it: as it is the shard does not start.")
        return
    yield ok("settings", f"{said} can be used, with {len(case.plugins)} plugins")
    for one in left_out:
        yield error("plugins", one, "Mend or remove it; the shard runs without it, because on_error is skip.")
    yield from _server(case.settings.server)
    yield from _secret(case)


def _server(server: ServerSettings) -> Iterator[Finding]:
    url, host = urlsplit(server.public_url), host_and_port(server.bind)[0]
    if not _loopback(host):
        yield warn(
            "settings.bind",
            f"{server.bind} can be reached from other machines, without TLS: keys pass in clear",
            'Put a proxy with TLS before it and set server.bind to "127.0.0.1:25588", or keep a firewall before it.',
        )
    if not server.public_url:
        yield info(
            "settings.public_url",
            "no public_url: links begin with the bind address, and any Host is served",
            "Set server.public_url to the URL under which clients come, if others are to reach the shard.",
        )
    elif url.scheme == "http" and not _loopback(url.hostname or ""):
        yield warn(
            "settings.public_url",
            f"{server.public_url} is not encrypted: whoever is on the way reads the keys",
            "Give the proxy a certificate, and write https:// in server.public_url.",
        )
    elif url.scheme == "https" and not server.trusted_proxies:
        yield warn(
            "settings.trusted_proxies",
            "no proxy is trusted, though one must end the TLS: every client has the proxy's address",
            'Name its address in server.trusted_proxies; ["127.0.0.1", "::1"] if it runs on this machine.',
        )
    for text in server.trusted_proxies:
        network = ip_network(text, strict=False)
        if network.prefixlen < WIDEST[network.version]:
            yield error(
                "settings.trusted_proxies",
                f"{text} is most of the internet: anyone can claim any address",
                "Name only the addresses of your own proxies.",
            )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _secret(case: Case) -> Iterator[Finding]:
    if case.settings.guessable:
        yield error(
            "settings.signing_secret",
            "it is short enough to be guessed, and whoever has it makes tokens",
            "Take 48 random characters or more: openssl rand -base64 48",
        )
    if case.file and _holds_secret(Path(case.file)) and Path(case.file).stat().st_mode & READ_BY_OTHERS:
        yield warn(
            "settings.file",
            f"everyone on this machine can read {case.file}, in which the signing secret stands",
            "Move the secret to /etc/credstore/SHARDAPI_SIGNING_SECRET, which our units read, or to a file that"
            " SHARDAPI_SIGNING_SECRET_FILE names; chmod 600 that.",
        )


def _holds_secret(file: Path) -> bool:
    return bool(tomllib.loads(file.read_text("utf-8")).get("signing_secret"))
