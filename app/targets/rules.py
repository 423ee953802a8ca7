"""What addresses are held against in this deployment: what the setting allows, and what is Neverdrop itself."""

import socket
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from app.targets.client import AddressRules
from config.settings import Settings


def rules_of(known: Settings) -> AddressRules:
    """Return what addresses are held against: private ones by the setting, and this deployment's own."""
    ourselves = [("", known.port), *((address, known.port) for address in _addresses(socket.gethostname()))]
    for url in (known.redis_url, known.database_url):
        for host, port in _places(url):
            ourselves += [("", port), *((address, port) for address in _addresses(host))]
    allowed = known.targets_allow_private or known.neverdrop_env == "development"
    return AddressRules(allowed, tuple(ourselves))


def _places(url: str) -> Iterator[tuple[str, int]]:
    """Yield each host of a store's URL with its port; one of the stores' usual ports is refused to every target."""
    parts = urlsplit(url)
    query = {name: ",".join(values).split(",") for name, values in parse_qs(parts.query).items()}
    for each in [*parts.netloc.rpartition("@")[2].split(","), *query.get("host", ())]:
        if each and not each.startswith("/"):
            place = urlsplit(f"//[{each}]" if each.count(":") > 1 and "]" not in each else f"//{each}")
            ports = [int(port) for port in query.get("port", ()) if port.isdecimal()]
            for port in [place.port] if place.port else ports:
                yield str(place.hostname), port


def _addresses(host: str) -> set[str]:
    """Return what a name leads to now; nothing where it does not resolve."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return set()
