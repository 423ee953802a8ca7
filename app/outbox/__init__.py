"""What handlers send: written in their transaction, posted to Meta once, settled by Meta's statuses.

Promises: a send leaves only if its handler committed, once for each event, handler and step, in order in each
conversation; where it cannot be known whether it left, it says so and is never sent again by itself.
Relies on: Postgres for truth and on Redis for the rates of all senders together.
Cannot see: what happens between Meta's answer and the user's phone but by the statuses that Meta sends.
"""

from app.outbox.address import Address, of_item, parse
from app.outbox.decisions import decide
from app.outbox.rates import Rates
from app.outbox.retry import SendDecision, judge
from app.outbox.rows import NewSend, TakenSend
from app.outbox.sender import SURE_SECONDS, OutboxSender, token_digest
from app.outbox.settle import Settlement, of_status, settle
from app.outbox.statements import OutboxStatements
from app.outbox.sweep import Swept, end_leases, sweep
from app.outbox.writer import cancel, find_conversation, follow_merge, move, write

__all__ = [
    "SURE_SECONDS",
    "Address",
    "NewSend",
    "OutboxSender",
    "OutboxStatements",
    "Rates",
    "SendDecision",
    "Settlement",
    "Swept",
    "TakenSend",
    "cancel",
    "decide",
    "end_leases",
    "find_conversation",
    "follow_merge",
    "judge",
    "move",
    "of_item",
    "of_status",
    "parse",
    "settle",
    "sweep",
    "token_digest",
    "write",
]
