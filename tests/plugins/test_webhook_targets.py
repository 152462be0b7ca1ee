"""Which URLs are no targets: whatever they are resolved to is this machine, a private network, or no address."""

import pytest
from targets import HOSTILE, METADATA

from shardapi import ApiError
from shardapi.outbox.target import Gate, Refused, Unresolved, parse


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_a_hostile_target_is_no_target(url: str) -> None:
    with pytest.raises((ApiError, Refused, Unresolved)):
        Gate().addresses(parse(url.format(p=9)))


@pytest.mark.parametrize("url", METADATA, ids=ascii)
def test_no_setting_opens_metadata(url: str) -> None:
    with pytest.raises((Refused, Unresolved)):
        Gate(["0.0.0.0/0", "::/0", "169.254.169.254/32", "fd00:ec2::254/128"]).addresses(parse(url))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2a00:1450:4001::1", "2606:4700::1"],
)
def test_the_public_internet_is_not_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert [str(one) for one in Gate().addresses(parse(f"https://{host}/"))] == [address]


def test_a_network_of_ones_own_is_allowed_and_no_other() -> None:
    gate = Gate(["10.1.0.0/16", "fd12::/16"])
    for host in ("10.1.2.3", "[::ffff:10.1.2.3]", "[fd12::1]"):
        gate.addresses(parse(f"http://{host}/"))
    for host in ("10.2.0.1", "[::10.1.2.3]", "[64:ff9b::a01:203]", "[fd13::1]"):
        with pytest.raises(Refused):
            gate.addresses(parse(f"http://{host}/"))


@pytest.mark.parametrize("public", ["1.2.3.4", "2a00:1450::1"])
@pytest.mark.parametrize("private", ["10.0.0.1", "::1", "fe80::1%eth0", "169.254.169.254"])
@pytest.mark.parametrize("first", [True, False])
def test_one_refused_address_among_others_refuses_the_name(public: str, private: str, first: bool) -> None:
    found = [private, public] if first else [public, private]
    with pytest.raises(Refused):
        Gate(resolve=lambda host, port: found).addresses(parse("http://name.test/"))
