"""Slows down who guesses passwords: after some failures an address waits before its next credential is looked at."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

FREE_FAILURES = 10
MAX_WAIT_SECONDS = 60.0
REMEMBERED_SECONDS = 900.0
MAX_ADDRESSES = 10_000
SITE_BITS = 64  # of an IPv6 address: the rest is the client's choice


class LoginGuard:
    """The failed logins of each address, in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """Return how long this address has to wait before a credential of its own is looked at; 0: not at all."""
        failures, last = self._recent(_site(address))
        if failures < FREE_FAILURES:
            return 0.0
        wait = min(MAX_WAIT_SECONDS, 2.0 ** min(failures - FREE_FAILURES, 10))
        return max(0.0, last + wait - self._clock())

    def count_failure(self, address: str) -> int:
        """Count a wrong credential; return how many there were of late."""
        site = _site(address)
        failures = self._recent(site)[0] + 1
        self._failures[site] = failures, self._clock()
        self._failures.move_to_end(site)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return failures

    def _recent(self, site: str) -> tuple[int, float]:
        failures, last = self._failures.get(site, (0, 0.0))
        return (failures, last) if self._clock() - last < REMEMBERED_SECONDS else (0, 0.0)


def _site(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return f"{int(parsed) >> SITE_BITS:x}" if parsed.ipv4_mapped is None else str(parsed.ipv4_mapped)
    return str(parsed)
