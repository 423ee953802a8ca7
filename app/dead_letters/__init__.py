"""Let a person decide about events that failed for good: retry, edit, discard.

Promises: a decision is committed once, and refused where the event has moved on since.
Relies on: Postgres. The queue ``dead_letters`` is a copy of the table, for those who watch queues.
Cannot see: whether the cause of the failure was mended.
"""

from app.dead_letters.decisions import (
    Decided,
    Pace,
    PayloadError,
    announce,
    discard,
    edit,
    mended,
    reconcile,
    retry,
)

__all__ = ["Decided", "Pace", "PayloadError", "announce", "discard", "edit", "mended", "reconcile", "retry"]
