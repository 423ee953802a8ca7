"""What to do about each alert, in a sentence, and which of Flower's pages shows what it is about. Pure: no I/O."""

from collections.abc import Mapping
from typing import NamedTuple

from app.watch.conditions import AlertName

DEAD_LETTERS, OUTBOX, HELD = "dead_letters", "outbox", "held"


class AlertRemedy(NamedTuple):
    """``page`` is where to look in Flower; None: elsewhere."""

    text: str
    page: str | None = None


MORE_WORK = "Much in the journal: start more ingest, or Postgres is slow. Much pending: start more workers."
SAFE = "Deliveries are safe in the journal, the rest waits."

REMEDIES: Mapping[str, AlertRemedy] = {
    AlertName.BACKLOG_SIZE: AlertRemedy(MORE_WORK),
    AlertName.BACKLOG_GROWTH: AlertRemedy(MORE_WORK),
    AlertName.BACKLOG_AGE: AlertRemedy(
        "A failing event holds its conversation: mend the handler, then retry it.", HELD
    ),
    AlertName.DEAD_LETTERS: AlertRemedy("Mend what failed, then retry or discard them.", DEAD_LETTERS),
    AlertName.NO_WORKER: AlertRemedy("Start workers, and look in their log why they ended."),
    AlertName.NO_INGEST: AlertRemedy("Start ingest, and look in its log why it ended."),
    AlertName.REPLIES_DEAD: AlertRemedy(
        "Look why Meta did not take them, then send them again or drop them.", OUTBOX
    ),
    AlertName.REPLIES_STOPPED: AlertRemedy(
        "Give the number a new token, or put it right at Meta; then resume it.", OUTBOX
    ),
    AlertName.NO_SENDER: AlertRemedy("Start a sender."),
    AlertName.TARGETS_STOPPED: AlertRemedy("Correct the target's address or take it out, then resume it."),
    AlertName.TARGETS_FAILING: AlertRemedy(
        "Look why the target fails; its jobs wait, and go on by themselves."
    ),
    AlertName.NO_FORWARDER: AlertRemedy("Start a forwarder."),
    AlertName.UNHANDLED: AlertRemedy(
        "HANDLERS names the wrong module, or a type is misspelled: the log says which types came."
    ),
    AlertName.DATABASE_DOWN: AlertRemedy(f"Start Postgres. {SAFE}"),
    AlertName.READ_ONLY: AlertRemedy(f"Let DATABASE_URL lead to the primary, or free its disk. {SAFE}"),
    AlertName.REDIS_DOWN: AlertRemedy(
        "Start Redis, or raise its maxmemory. Deliveries go to Postgres, handlers wait."
    ),
    AlertName.FALLBACK_STORE: AlertRemedy(
        "A web process cannot write to Redis in time: deliveries go to Postgres meanwhile."
    ),
    AlertName.SIGNATURES_REFUSED: AlertRemedy(
        "Set WHATSAPP_APP_SECRET to the old and the new secret; else somebody is trying."
    ),
    AlertName.UNKNOWN_HANDLER: AlertRemedy(
        "A worker runs another release or has no HANDLERS; a renamed handler needs formerly=."
    ),
    AlertName.NO_BEAT: AlertRemedy("Start beat: without it no failed attempt is repeated."),
    AlertName.QUARANTINE: AlertRemedy(
        "See what it is with “neverdrop quarantine list”: somebody else writes to this Redis."
    ),
}
