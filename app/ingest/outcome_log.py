"""One log line for each event of a delivery: what became of it."""

from app.ingest.rows import NewEvent
from app.stores import JobState
from app.watch import reporting
from config.logging import get_logger

log = get_logger(__name__)


def log_outcome(row: NewEvent) -> None:
    """Log that the event was accepted, or why it was not."""
    fields = {
        "key": row.key,
        "delivery_id": str(row.delivery.id),
        "kind": row.event.kind,
        "type": row.event.type,
        "conversation": row.event.conversation,
    }
    if row.id is None:
        log.info("event.duplicate", changed=row.changed, **fields)
    elif row.outcome is JobState.DEAD:
        log.error("delivery.unreadable", event_id=row.id, error=row.error, **fields)
        reporting.unreadable_delivery(event_id=row.id)
    elif row.outcome is JobState.UNHANDLED:
        log.info("event.unhandled", event_id=row.id, **fields)
    else:
        handlers = ", ".join(job.handler for job in row.jobs)
        log.info("event.accepted", event_id=row.id, handler=handlers, **fields)
