"""Find what was lost between the stores and enqueue it again; delete what was finished long ago.

Promises: a delivery or lane whose message was lost is enqueued again within ``SWEEP_GRACE_SECONDS`` and a few seconds.
Relies on: beat and a consumer of ``maintenance``; Postgres keeping its data.
Cannot see: what Redis lost before it reached Postgres.
"""

from app.recovery import left_members, retention, sweeper
from app.recovery.retention import Purged

__all__ = ["Purged", "left_members", "retention", "sweeper"]
