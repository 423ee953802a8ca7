"""Let a person decide about events that failed for good: retry, edit, discard.

Promises: a decision is committed once, and refused if the event is not dead any more.
Relies on: Postgres. The queue ``dead_letters`` is a copy of the table, for those who watch queues.
Cannot see: whether the cause of the failure is gone.
"""

from app.dead_letters.decisions import ActionResult, RetryRate, discard, edit, retry
from app.dead_letters.payloads import PayloadError, validate_payload
from app.dead_letters.queue import enqueue_dead_letter, reconcile

__all__ = [
    "ActionResult",
    "PayloadError",
    "RetryRate",
    "discard",
    "edit",
    "enqueue_dead_letter",
    "reconcile",
    "retry",
    "validate_payload",
]
