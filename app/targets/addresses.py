"""Which addresses a target may have. Pure: no I/O.

The operator writes the address, but a name may lead elsewhere tomorrow: what it resolves to is looked at for each
connection. Whatever gives credentials to whoever asks (metadata services) is link-local, and refused always.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

# Services that answer to the first lines of an HTTP request, or do harm by it
REFUSED_PORTS = frozenset({22, 23, 25, 53, 110, 143, 465, 587, 993, 995, 3306, 5432, 6379, 11211, 27017})
# Metadata services whose addresses are not link-local
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address


class RefusedAddress(ValueError):
    """A target's address may not be connected to; the text says why."""


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL that ``check_url`` has passed."""
    return parts.port or DEFAULT_PORTS[parts.scheme]


def check_url(url: str) -> str:
    """Return a URL that a target may have, as far as that is seen without DNS; ValueError says what is wrong."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise ValueError("must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and no password: give them in headers")
    if parts.fragment:
        raise ValueError("must hold no #fragment: it is never sent")
    if not url.isascii() or any(ord(character) <= ord(" ") for character in url):
        raise ValueError("must be plain ASCII without spaces: write other characters in percent-encoding")
    if port in REFUSED_PORTS or port == 0:
        raise ValueError(f"names port {port}, at which no HTTP is spoken")
    if host.rstrip(".") in METADATA_NAMES:
        raise ValueError("names a metadata service")
    literal = _literal(host)
    if literal is not None:
        check_always(literal)
    return url


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_always(address: Address) -> None:
    """Raise RefusedAddress for what no setting allows."""
    address = _plain(address)
    if address in METADATA:
        raise RefusedAddress("resolves to a metadata service")
    if address.is_link_local:
        raise RefusedAddress("resolves to a link-local address, where metadata services are")
    # Of IPv6 that is also what wraps an IPv4 address in a way that is not looked into
    if address.is_multicast or address.is_unspecified or (address.is_reserved and not address.is_loopback):
        raise RefusedAddress("resolves to an address of no single machine")


def check_address(
    text: str, port: int, *, private_allowed: bool, ourselves: Iterable[tuple[str, int]] = ()
) -> None:
    """Raise RefusedAddress unless a target may be connected to at this address and port.

    ``ourselves``: the addresses and ports of this deployment, "" for any address of this machine.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    check_always(address)
    plain = _plain(address)
    for own, own_port in ourselves:
        if port == own_port and (own == text or (own == "" and plain.is_loopback)):
            raise RefusedAddress(f"is Neverdrop itself: port {port} of this deployment")
    if not private_allowed and not plain.is_global:
        raise RefusedAddress(
            "resolves to a loopback or private address: set TARGETS_ALLOW_PRIVATE=true if that is meant"
        )


def _plain(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one: such a one leads to it."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or _nat64(address) or address
    return address


def _nat64(address: IPv6Address) -> IPv4Address | None:
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
