"""How far it is to a server."""

from __future__ import annotations

import pytest

from noibo.networks import Network, is_odd_number


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("64:ff9b::7f00:1", Network.HERE),
        ("64:ff9b::808:808", Network.PUBLIC),
        ("2002:0a00:0001::1", Network.OWN),
        ("::ffff:8.8.8.8", Network.PUBLIC),
    ],
)
def test_an_address_inside_another_counts(address: str, network: Network) -> None:
    assert [one for one in Network if one.has(address)] == [network]


@pytest.mark.parametrize(
    "host", ["134744072", "0x08080808", "0X8.8", "010.0.0.1", "127.1", "8.8.8.8.", "a.b.0x7f"]
)
def test_a_number_that_nobody_writes_is_of_no_network(host: str) -> None:
    assert is_odd_number(host)
    assert Network.of(f"http://{host}/v1") is Network.PUBLIC
    assert Network.of(f"http://{host}/v1", own=True).cannot_have(host)


@pytest.mark.parametrize("host", ["4090box", "gpu-7", "10.0.0.5", "fd00::1", "0x-box", "8.example"])
def test_a_name_with_digits_is_a_name(host: str) -> None:
    assert not is_odd_number(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.1"])
def test_a_number_of_no_server_is_of_no_network(host: str) -> None:
    assert not any(one.has(host) for one in Network)
    assert Network.OWN.cannot_have(host)
