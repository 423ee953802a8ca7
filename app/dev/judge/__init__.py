"""Judge whether the promises were kept, from what was sent and what the tables and queues show of it.

Promises: each promise is one check, which yields a violation for each breach of it.
Relies on: the sender's ledger, and handlers that record each run in the table of effects.
Cannot see: what a handler did outside its transaction, and a run that was rolled back.
"""

from app.dev.judge import (
    comes_back,
    finished,
    loud,
    once,
    order,
    queries,
    replays,
    replies,
    signed,
    statuses,
    stored,
    targets,
)
from app.dev.judge.effect_table import EffectBase, RecordedEffect
from app.dev.judge.facts import Facts, PastFault
from app.dev.judge.ledger import Entry
from app.dev.judge.records import ReceivedReply, TargetCall
from app.dev.judge.verdict import Check, Verdict, judge

__all__ = [
    "Check",
    "EffectBase",
    "Entry",
    "Facts",
    "PastFault",
    "ReceivedReply",
    "RecordedEffect",
    "TargetCall",
    "Verdict",
    "comes_back",
    "finished",
    "judge",
    "loud",
    "once",
    "order",
    "queries",
    "replays",
    "replies",
    "signed",
    "statuses",
    "stored",
    "targets",
]
