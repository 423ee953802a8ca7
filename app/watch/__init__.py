"""Measure the backlog and the workers, and raise alerts.

Promises: an alert is sent once when it begins and once when it ends.
Relies on: one web process or worker that is alive.
Cannot see: its own absence; a monitor outside watches ``/readyz`` and ``/metrics`` for that.
"""

from app.watch import (
    alert_marks,
    alert_timer,
    alerts,
    backlog,
    beat_signal,
    heartbeats,
    releases,
    reporting,
    target_health,
    unknown_handlers,
)
from app.watch.backlog import DIED, UNACKED, Backlog, PostgresBacklog, RedisBacklog
from app.watch.conditions import JUDGED_BY_EACH, AlertName
from app.watch.observation import FALLBACK_SECONDS, SIGNATURES_SECONDS, RecentCount
from app.watch.outbox_backlog import OutboxBacklog
from app.watch.partial import PartialBacklog, PartialProbe
from app.watch.probe import Probe
from app.watch.remedies import REMEDIES
from app.watch.target_health import TargetHealth
from app.watch.targets_backlog import TargetsBacklog

__all__ = [
    "DIED",
    "FALLBACK_SECONDS",
    "JUDGED_BY_EACH",
    "REMEDIES",
    "SIGNATURES_SECONDS",
    "UNACKED",
    "AlertName",
    "Backlog",
    "OutboxBacklog",
    "PartialBacklog",
    "PartialProbe",
    "PostgresBacklog",
    "Probe",
    "RecentCount",
    "RedisBacklog",
    "TargetHealth",
    "TargetsBacklog",
    "alert_marks",
    "alert_timer",
    "alerts",
    "backlog",
    "beat_signal",
    "heartbeats",
    "releases",
    "reporting",
    "target_health",
    "unknown_handlers",
]
