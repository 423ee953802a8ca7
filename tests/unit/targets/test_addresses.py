"""Which addresses may be connected to: none that gives credentials away, none of our own, private ones if allowed."""

import socket
from collections.abc import Callable

import pytest

from app.targets.addresses import RefusedAddress, check_address, check_url
from app.targets.rules import rules_of
from config.settings import Settings


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example", "https://", "//a.example", "https://user@a.example", "https://a.example/#part",
        "https://a.example:6379", "https://a.example:99999", "http://169.254.169.254/", "http://[fe80::1]/",
        "http://metadata.google.internal/", "http://0.0.0.0/", "http://[::ffff:169.254.169.254]/",
        "http://a b.example/",
    ],
)  # fmt: skip
def test_no_target_has_such_an_address(url: str) -> None:
    with pytest.raises(ValueError):
        check_url(url)


@pytest.mark.parametrize("url", ["https://a.example/x?y=z", "http://bot:3000", "http://127.0.0.1:3000/in"])
def test_a_target_may_have_such_an_address(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fe80::1%eth0", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "224.0.0.1",
     "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::",
     "64:ff9b:1::169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "::127.0.0.1"],
)  # fmt: skip
def test_what_may_be_a_metadata_service_is_refused_whatever_is_set(address: str) -> None:
    with pytest.raises(RefusedAddress):
        check_address(address, 80, private_allowed=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "172.20.0.3", "192.168.1.1", "::1", "fd12::1"])
def test_a_private_address_is_refused_until_a_setting_allows_it(address: str) -> None:
    with pytest.raises(RefusedAddress, match="TARGETS_ALLOW_PRIVATE=true"):
        check_address(address, 3000, private_allowed=False)
    check_address(address, 3000, private_allowed=True)


def test_a_public_address_is_connected_to() -> None:
    check_address("93.184.215.14", 443, private_allowed=False)


def test_neverdrop_does_not_forward_to_itself() -> None:
    with pytest.raises(RefusedAddress, match="is Neverdrop itself"):
        check_address("127.0.0.1", 8000, private_allowed=True, ourselves=[("", 8000)])
    check_address("127.0.0.1", 3000, private_allowed=True, ourselves=[("", 8000)])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.internal:5433/bot",
        "postgresql://u@other.internal:5433,db.internal:5433/bot",
        "postgresql:///bot?host=other.internal:1&host=db.internal:5433",
        "postgresql:///bot?host=::1&port=5433",
    ],
)
def test_a_store_that_is_known_by_its_name_is_no_target(
    monkeypatch: pytest.MonkeyPatch, env: Callable[..., Settings], url: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.0.0.7", 0))])
    rules = rules_of(env(DATABASE_URL=url, TARGETS_ALLOW_PRIVATE="true"))
    with pytest.raises(RefusedAddress, match="is Neverdrop itself"):
        check_address("10.0.0.7", 5433, private_allowed=True, ourselves=rules.ourselves)
    check_address("10.0.0.8", 5433, private_allowed=True, ourselves=rules.ourselves)
