"""Let a person decide about jobs that failed: retry, edit or discard the dead, retry or skip the held.

Promises: a decision is committed once, and refused if the job is in another state by then.
Relies on: Postgres. The queue ``dead_letters`` is a copy of the table, for those who watch queues.
Cannot see: whether the cause of the failure is gone.
"""

from app.dead_letters.action_result import ActionResult
from app.dead_letters.decisions import RetryRate, discard, edit, retry
from app.dead_letters.held import retry_held, skip_held
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
    "retry_held",
    "skip_held",
    "validate_payload",
]
