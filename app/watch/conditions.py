"""Judge which alerts begin and end, given the backlog. Pure: no I/O.

An alert is raised at its threshold and cleared below CLEARED_BELOW of it, so that a value that swings around the
threshold sends nothing new. A condition that must last is pending until then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.watch.backlog import Backlog
    from config.settings import Settings

CLEARED_BELOW = 0.8  # of the threshold


class AlertName(StrEnum):
    BACKLOG_SIZE = "backlog_size"
    BACKLOG_GROWTH = "backlog_growth"
    BACKLOG_AGE = "backlog_age"
    DEAD_LETTERS = "dead_letters"
    NO_WORKER = "no_worker"  # none alive that runs lanes
    NO_INGEST = "no_ingest"  # none alive that splits deliveries
    REPLIES_DEAD = "replies_dead"  # not sent, or not known whether they were
    REPLIES_STOPPED = "replies_stopped"  # Meta refuses a number's token
    NO_SENDER = "no_sender"  # replies wait, and none is alive that sends them
    TARGETS_STOPPED = "targets_stopped"  # they answered that they are gone
    TARGETS_FAILING = "targets_failing"  # a breaker is open
    NO_FORWARDER = "no_forwarder"  # jobs of targets wait, and none is alive that posts them
    UNHANDLED = "unhandled"  # messages ended without a handler
    # Judged by each process from what it sees itself
    DATABASE_DOWN = "database_down"
    READ_ONLY = "read_only"  # Postgres answers and takes no writes
    REDIS_DOWN = "redis_down"  # away, full, or a standby
    FALLBACK_STORE = "fallback_store"  # in use
    SIGNATURES_REFUSED = "signatures_refused"
    UNKNOWN_HANDLER = "unknown_handler"  # events wait for a handler that workers do not know
    NO_BEAT = "no_beat"  # nothing starts the sweeps
    QUARANTINE = "quarantine"  # messages that could not be run


# Known also while Postgres does not answer
JUDGED_BY_EACH = frozenset(
    {
        AlertName.DATABASE_DOWN,
        AlertName.READ_ONLY,
        AlertName.REDIS_DOWN,
        AlertName.FALLBACK_STORE,
        AlertName.SIGNATURES_REFUSED,
        AlertName.UNKNOWN_HANDLER,
        AlertName.NO_BEAT,
        AlertName.QUARANTINE,
    }
)


class Action(StrEnum):
    RAISE = "raise"
    CLEAR = "clear"
    MARK_PENDING = "mark_pending"  # its condition is met, but not for long enough yet
    CANCEL_PENDING = "cancel_pending"  # its condition ended before it was raised


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is watched, as it is now."""

    name: AlertName
    value: float
    threshold: float
    met: bool
    over: bool  # neither of the two: in between, where everything stays as it was
    text: str
    lasts_seconds: float = 0  # how long it must be met before the alert is raised


@dataclass(frozen=True, slots=True)
class AlertState:
    """Where an alert stood before."""

    raised: bool = False
    pending_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertChange:
    action: Action
    name: AlertName
    text: str
    value: float | None = None
    threshold: float | None = None


def conditions(measured: "Backlog", settings: "Settings") -> list[Condition]:
    """Return what is watched; growth is left out while there is no sample to compare with."""
    growth = measured.growth
    window = settings.alert_growth_window_seconds
    limits = [
        limit(
            AlertName.BACKLOG_SIZE,
            measured.size,
            settings.alert_backlog_size,
            f"{measured.size:,} are unfinished",
        ),
        limit(
            AlertName.BACKLOG_AGE,
            measured.oldest_seconds,
            settings.alert_oldest_seconds,
            f"the oldest unfinished is {measured.oldest_seconds:,.0f} s old",
        ),
        limit(
            AlertName.DEAD_LETTERS,
            measured.dead_letters,
            settings.alert_dead_letters,
            f"{measured.dead_letters:,} dead letters wait for a person (neverdrop dead list)",
        ),
        limit(
            AlertName.UNHANDLED,
            measured.stored.unhandled,
            settings.alert_unhandled,
            f"{measured.stored.unhandled:,} messages of the last hour had no handler",
        ),
        *_outbox(measured, settings),
        *_targets(measured, settings),
        _presence(AlertName.NO_WORKER, measured.workers, "run conversations", settings),
        _presence(AlertName.NO_INGEST, measured.ingests, "split deliveries", settings),
    ]
    if growth is not None:
        sentence = f"the backlog grew by {growth:,} in {window:,.0f} s"
        limits.append(limit(AlertName.BACKLOG_GROWTH, growth, settings.alert_backlog_growth, sentence))
    return limits


def _outbox(measured: "Backlog", settings: "Settings") -> list[Condition]:
    outbox = measured.stored.outbox
    return [
        limit(
            AlertName.REPLIES_DEAD,
            outbox.dead,
            settings.alert_dead_replies,
            f"{outbox.dead:,} replies wait for a person (neverdrop outbox list)",
        ),
        limit(
            AlertName.REPLIES_STOPPED,
            len(outbox.stopped),
            1,
            f"nothing leaves from {', '.join(outbox.stopped) or 'no number'}: Meta refused its token or account",
        ),
        Condition(
            AlertName.NO_SENDER,
            value=measured.senders,
            threshold=1,
            met=measured.senders == 0 and outbox.waiting > 0,
            over=measured.senders > 0 or outbox.waiting == 0,
            text=f"{outbox.waiting:,} replies wait, and {measured.senders} senders are alive",
            lasts_seconds=settings.alert_no_worker_seconds,
        ),
    ]


def _targets(measured: "Backlog", settings: "Settings") -> list[Condition]:
    targets, known = measured.stored.targets, measured.transport.targets
    failing = {name: health for name, health in known.items() if health.breaker != "closed"}
    return [
        limit(
            AlertName.TARGETS_STOPPED,
            len(targets.stopped),
            1,
            f"nothing is sent to {', '.join(targets.stopped) or 'no target'}: it answered that it is gone (410)",
        ),
        limit(
            AlertName.TARGETS_FAILING,
            len(failing),
            1,
            f"nearly every attempt at {', '.join(failing) or 'no target'} fails (neverdrop target stats)",
        ),
        Condition(
            AlertName.NO_FORWARDER,
            value=measured.forwarders,
            threshold=1,
            met=measured.forwarders == 0 and targets.waiting > 0,
            over=measured.forwarders > 0 or targets.waiting == 0,
            text=f"{targets.waiting:,} jobs of targets wait, and {measured.forwarders} forwarders are alive",
            lasts_seconds=settings.alert_no_worker_seconds,
        ),
    ]


def limit(name: AlertName, value: float, threshold: float, sentence: str) -> Condition:
    """Return the condition of a number that is to stay below its threshold."""
    return Condition(
        name,
        value=value,
        threshold=threshold,
        met=value >= threshold,
        over=value < threshold * CLEARED_BELOW,
        text=f"{sentence} (threshold {threshold:,g})",
    )


def _presence(name: AlertName, alive: int, work: str, settings: "Settings") -> Condition:
    return Condition(
        name,
        value=alive,
        threshold=1,
        met=alive == 0,
        over=alive > 0,
        text=f"{alive} workers are alive to {work}",
        lasts_seconds=settings.alert_no_worker_seconds,
    )


def judge(
    conditions_now: Sequence[Condition], states: Mapping[str, AlertState], now: datetime
) -> list[AlertChange]:
    """Return what changes, given the conditions and the state of each alert before."""
    judged = (
        (condition, _action(condition, states.get(condition.name, AlertState()), now))
        for condition in conditions_now
    )
    return [
        AlertChange(action, condition.name, condition.text, condition.value, condition.threshold)
        for condition, action in judged
        if action is not None
    ]


def _action(condition: Condition, state: AlertState, now: datetime) -> Action | None:
    if state.raised:
        return Action.CLEAR if condition.over else None
    if not condition.met:
        return Action.CANCEL_PENDING if state.pending_since is not None else None
    since = state.pending_since or now
    if now - since >= timedelta(seconds=condition.lasts_seconds):
        return Action.RAISE
    return Action.MARK_PENDING if state.pending_since is None else None
