"""One run: start everything, load and faults, wait until all is final, read and judge."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.dev.judge import Facts, PastFault, TargetCall, Verdict, comes_back, judge, queries
from app.dev.processes.children import Records
from app.dev.processes.parent_watchdog import watch
from app.stores.connections import engine, redis
from tests.chaos import bodies, disk, merges, meta
from tests.chaos.bodies import TARGET_LANE
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Faults
from tests.chaos.promises import PROMISES
from tests.chaos.schedule import CLOCKS, MERGES, Fault, Happened, Kind
from tests.chaos.sender import Sender
from tests.helpers.crm import Crm, crm
from tests.helpers.graph import GraphStandIn

TICK_SECONDS = 0.1
STEADY_LOOKS = 3  # at queues and tables that are empty, before the end is believed
LOOK_SECONDS = 1.0
MAX_PAUSES_SECONDS = 1800.0  # of the drain, in which jobs wait for their next attempts
TARGET_FAULTS = {
    "slow_seconds": 0.2,
    "failing": 0.01,
    "cut_off": 0.01,
}  # it takes so long at most; shares of calls
PAUSES = text("SELECT EXISTS (SELECT FROM jobs WHERE due_at > clock_timestamp())")
# A sender that lives has no send in its hands for so long
AGE_SENDS = text("""
UPDATE sends SET held_until = clock_timestamp()
WHERE held_until > clock_timestamp()
  AND (state = 'unknown' OR state = 'sending' AND held_until < clock_timestamp() + interval '50 s')
""")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run. ``variables`` are settings that differ from the defaults."""

    seconds: float
    rate: float  # events a second
    seed: int
    schedule: Sequence[Fault]
    kinds: dict[str, Kind]
    drain_seconds: float
    variables: dict[str, str] = field(default_factory=dict)
    small_disk: bool = False
    short: bool = False  # pauses of targets are short, and nobody waits for a dead sender's lease at the end


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of it."""

    plan: Plan
    began: float  # Unix time of the start of the load
    facts: Facts
    verdicts: list[Verdict]
    happened: list[Happened]
    returns: list[comes_back.Return]
    interrupted: list[comes_back.Interruption]
    drain_seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return all(verdict.kept for verdict in self.verdicts)


def run(plan: Plan, say: Say, keep: Path | None = None) -> Result:
    """Play a plan. Its logs and data are in ``keep`` afterwards, or gone."""
    with tempfile.TemporaryDirectory(prefix="nd-chaos-", ignore_cleanup_errors=True) as temporary:
        path = Path(temporary)
        path.chmod(0o755)  # Postgres is another user when root runs it
        watchdog = watch(Records.of_this_process(path))
        try:
            return _run(plan, path, say, keep)
        finally:
            watchdog.stop()


def _run(plan: Plan, path: Path, say: Say, keep: Path | None) -> Result:
    fill = None
    if plan.small_disk:
        disk.mount(path / "small")
        (path / "small" / "valkey").mkdir()
        fill = partial(disk.fill, path / "small")
    with meta.meta() as graph, crm(**TARGET_FAULTS) as target:
        return _run_beside(plan, path, say, keep, fill, graph, target)


def _run_beside(
    plan: Plan,
    path: Path,
    say: Say,
    keep: Path | None,
    fill: Callable[[], Any] | None,
    graph: GraphStandIn,
    target: Crm,
) -> Result:
    cluster = Cluster(
        path,
        {"WHATSAPP_API_URL": graph.url, "WHATSAPP_ACCESS_TOKEN": "chaos", **plan.variables},
        path / "small" / "valkey" if plan.small_disk else None,
        target=target,
        short=plan.short,
        steps_clocks=any(fault.kind in CLOCKS for fault in plan.schedule),
    )
    sender = None
    try:
        cluster.begin()
        start = int(time.time()) + 1
        options = bodies.Options(plan.seconds, plan.rate, plan.seed, start)
        sender = Sender(_posts(plan, options), cluster.urls)
        faults = Faults(cluster, list(plan.schedule), fill)
        say(f"ready: {len(sender.entries)} posts in {plan.seconds:g} s")
        meta.report_statuses(graph, sender, start)
        sender.begin(start)
        _play(cluster, faults, start, plan.seconds, say)
        drained = _drain(cluster, sender, plan, say)
        sender.end()
        facts = replace(
            queries.read(engine(), redis(), sender.entries),
            received=meta.received(graph),
            calls={TARGET_LANE: _calls(target)},
            faults=[_past(event, plan.kinds) for event in faults.happened],
        )
        return _judged(plan, start, facts, faults.happened, drained)
    finally:
        if sender:
            sender.end()
        cluster.end()
        if keep:
            os.replace(path / "cluster.log", keep)


def _posts(plan: Plan, options: bodies.Options) -> list[bodies.Post]:
    linked = [fault.at + fault.seconds for fault in plan.schedule if fault.kind == MERGES]
    posts = [*bodies.plan(options), *merges.plan(linked, options.start)]
    return sorted(posts, key=lambda post: post.at)


def _play(cluster: Cluster, faults: Faults, start: float, seconds: float, say: Say) -> None:
    """Until the load is over and every fault has passed."""
    while time.time() - start < seconds or not faults.over:
        cluster.restart_ended()
        for fault in faults.tick(time.time() - start):
            say(str(fault))
        time.sleep(TICK_SECONDS)


def _drain(cluster: Cluster, sender: Sender, plan: Plan, say: Say) -> float:
    """Wait until every post has its 200 and nothing is left to be done; for how long.

    Given up when for ``plan.drain_seconds`` there has never been less to do than before, and nothing waited for the
    time of its next attempt, as a target's does for minutes.
    """
    began = progress = time.monotonic()
    least, empty = math.inf, 0
    while empty < STEADY_LOOKS and time.monotonic() - progress < plan.drain_seconds:
        cluster.restart_ended()
        if plan.short:
            _age_sends()
        left = sender.open + _unfinished()
        now = time.monotonic()
        if left < least or (now < began + MAX_PAUSES_SECONDS and _pauses()):
            progress = now
        least = min(least, left)
        empty = 0 if left else empty + 1
        time.sleep(LOOK_SECONDS)
    took = time.monotonic() - began
    say(f"{'everything is final' if empty >= STEADY_LOOKS else 'not everything is final'} after {took:.0f} s")
    return took


def _calls(target: Crm) -> list[TargetCall]:
    return [
        TargetCall(id_, event_id, at)
        for (id_, event_id, _, _), at in zip(target.received, target.moments, strict=True)
    ]


def _past(event: Happened, kinds: dict[str, Kind]) -> PastFault:
    kind = kinds[event.fault.kind]
    return PastFault(
        event.fault.kind,
        event.at,
        event.until or event.at,
        pids=frozenset(event.pids),
        target=event.fault.target,
        takes_away=bool(kind.takes_away) or event.fault.target == "beat",
        sets_clock=kind.sets_clock,
        loses_commits=kind.loses_commits,
    )


def _age_sends() -> None:
    """End the leases of senders that died, and the waits for what is unknown, before their time."""
    with suppress(SQLAlchemyError), engine().begin() as connection:
        connection.execute(AGE_SENDS)


def _unfinished() -> float:
    with suppress(RedisError, SQLAlchemyError):
        return queries.progress(engine(), redis()).unfinished
    return math.inf


def _pauses() -> bool:
    """Whether a job waits for the time of its next attempt."""
    with suppress(SQLAlchemyError), engine().connect() as connection:
        return bool(connection.scalar(PAUSES))
    return False


def _judged(plan: Plan, began: float, facts: Facts, happened: list[Happened], drained: float) -> Result:
    return Result(
        plan=plan,
        began=began,
        facts=facts,
        verdicts=judge(facts, PROMISES),
        happened=happened,
        returns=comes_back.returns(facts),
        interrupted=comes_back.interruptions(facts),
        drain_seconds=drained,
    )
