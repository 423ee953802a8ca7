"""Faults of what is around a process: its network, clock, neighbours of another release, what handlers call.

Each is a generator as in ``faults``. Nothing dies in them, and nothing is started again.
"""

from collections.abc import Callable

from tests.chaos import effects
from tests.chaos.cluster import CLIENTS, Cluster, route
from tests.chaos.schedule import OTHER_RELEASE, Happened
from tests.chaos.steps import Steps, after, ended

HOUR_SECONDS = 3600


def blackhole_redis(cluster: Cluster, event: Happened) -> Steps:
    """Swallow what a process and Valkey send each other."""
    yield from _blackhole(cluster, event, "valkey")


def blackhole_postgres(cluster: Cluster, event: Happened) -> Steps:
    """Swallow what a process and Postgres send each other."""
    yield from _blackhole(cluster, event, "postgres")


def _blackhole(cluster: Cluster, event: Happened, store: str) -> Steps:
    """Connections of now are never closed; new ones are swallowed for a while."""
    routes = [route(event.fault.target, store)]
    cluster.network.set_silent(routes, True)
    cluster.network.swallow(routes)
    yield after(event.fault.seconds)
    cluster.network.set_silent(routes, False)


def failover(cluster: Cluster, event: Happened) -> Steps:
    """Close every session, and let those that are opened now read only, for as long as they last."""
    routes = [route(name, "postgres") for name in CLIENTS]
    cluster.network.set_read_only(routes, True)
    cluster.network.close(routes)
    yield after(event.fault.seconds)
    cluster.network.set_read_only(routes, False)


def step_clock(cluster: Cluster, event: Happened) -> Steps:
    """Set the clock of a process an hour ahead or behind, and right again."""
    name, _, direction = event.fault.kind.partition("_")
    clock = cluster.clocks[name]
    clock.set(HOUR_SECONDS if direction == "ahead" else -HOUR_SECONDS)
    yield after(event.fault.seconds)
    clock.set(0)


def other_release(cluster: Cluster, event: Happened) -> Steps:
    """Let a worker that knows none of the handlers take part, and end it as a deploy would."""
    cluster.supervisor.start(cluster.program(OTHER_RELEASE))
    yield after(event.fault.seconds)
    cluster.disable_restart(OTHER_RELEASE)
    running = cluster.running(OTHER_RELEASE)
    running.send(running.program.stop_signal)
    yield ended(running, running.program.grace_seconds)
    running.send_all(9)


def slow_downstream(cluster: Cluster, event: Happened) -> Steps:
    """Let every handler take as long as what it calls."""
    yield from _downstream(cluster, event, effects.DRAGS)


def exit_downstream(cluster: Cluster, event: Happened) -> Steps:
    """Let some handlers raise SystemExit."""
    yield from _downstream(cluster, event, effects.STOPS)


def _downstream(cluster: Cluster, event: Happened, what: str) -> Steps:
    flag = cluster.path / "downstream" / what
    flag.touch()
    yield after(event.fault.seconds)
    flag.unlink()


def target_away(cluster: Cluster, event: Happened) -> Steps:
    """Let a target close each connection before it has read anything."""
    cluster.target.down = True
    yield after(event.fault.seconds)
    cluster.target.down = False


def overlapping_merges(_cluster: Cluster, event: Happened) -> Steps:
    """Wait: ``bodies`` has the posts that do it."""
    yield after(event.fault.seconds)


KINDS: dict[str, Callable[[Cluster, Happened], Steps]] = {
    "blackhole_redis": blackhole_redis,
    "blackhole_postgres": blackhole_postgres,
    "failover": failover,
    "valkey_ahead": step_clock,
    "valkey_behind": step_clock,
    "beat_ahead": step_clock,
    "beat_behind": step_clock,
    "other_release": other_release,
    "slow_downstream": slow_downstream,
    "exit_downstream": exit_downstream,
    "target_away": target_away,
    "overlapping_merges": overlapping_merges,
}
