from __future__ import annotations

import pytest

from noibo.addresses import household, is_own


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machines_own(text: str) -> None:
    assert is_own(text)


@pytest.mark.parametrize("text", ["10.0.0.7", "::ffff:10.0.0.7", "0.0.0.0", "localhost", "", "x"])
def test_not_this_machines_own(text: str) -> None:
    assert not is_own(text)


def test_a_network_of_ipv6_is_one_household() -> None:
    assert household("2001:db8:1:2::7") == household("2001:db8:1:2:ffff::1")
    assert household("2001:db8:1:2::7") != household("2001:db8:1:3::7")


def test_each_address_of_ipv4_is_one_however_it_is_written() -> None:
    assert household("::ffff:10.0.0.7") == household("10.0.0.7") != household("10.0.0.8")


def test_what_is_no_number_is_itself() -> None:
    assert household("testclient") == "testclient"
