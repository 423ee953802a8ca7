"""Connect Neverdrop to Celery on Redis: the application, its messages, and wakes of lanes.

Promises: a lane that waits in the queue is not enqueued twice.
Relies on: kombu's message format, which is pinned.
Cannot see: whether a message arrives. It is only a hint; ``recovery`` finds what was lost.
"""

from app.broker import channel, envelope, wakes
from app.broker.celery_app import NeverdropCelery
from app.broker.envelope import arguments_of, ingest_message, retry_dead_letter_message
from app.broker.quarantine import Quarantined, drop_quarantined, quarantined
from app.broker.wakes import (
    WakeBatch,
    receive_forwarders_wake,
    receive_senders_wake,
    wake,
    wake_forwarders,
    wake_senders,
)

__all__ = [
    "NeverdropCelery",
    "Quarantined",
    "WakeBatch",
    "arguments_of",
    "channel",
    "drop_quarantined",
    "envelope",
    "ingest_message",
    "quarantined",
    "receive_forwarders_wake",
    "receive_senders_wake",
    "retry_dead_letter_message",
    "wake",
    "wake_forwarders",
    "wake_senders",
    "wakes",
]
