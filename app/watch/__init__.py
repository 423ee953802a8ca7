"""Measure the backlog and the workers, and raise alerts.

Promises: an alert is sent once when it begins and once when it ends.
Relies on: beat and a consumer of ``maintenance``.
Cannot see: its own absence; a monitor outside watches ``/metrics`` for that.
"""

from app.watch import alerts, backlog, heartbeats, reporting, unknown_handlers
from app.watch.backlog import DIED, UNACKED, Backlog, PostgresBacklog, RedisBacklog
from app.watch.conditions import AlertName
from app.watch.probe import Probe

__all__ = [
    "DIED",
    "UNACKED",
    "AlertName",
    "Backlog",
    "PostgresBacklog",
    "Probe",
    "RedisBacklog",
    "alerts",
    "backlog",
    "heartbeats",
    "reporting",
    "unknown_handlers",
]
