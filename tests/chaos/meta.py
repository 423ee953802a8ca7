"""Meta as the fault test has it: a stand-in that takes replies, loses answers, and posts statuses with the sender.

Each reply that it takes gets one status, ``sent``, which is an event as any other: the sender keeps it in its ledger,
and posts it until it is answered with 200.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

from app.dev.graph import ChatMessage
from app.dev.judge import ReceivedReply
from app.dev.simulator import PlannedEvent
from tests.chaos.bodies import Post
from tests.chaos.sender import Sender
from tests.helpers import factories as f
from tests.helpers.graph import GraphStandIn, graph_stand_in

FAULTS = {"throttled": 0.1, "cut_off": 0.05, "bare_5xx_sent": 0.02, "slow": 0.05}  # shares of all replies
STATUS = "sent"


class SenderWebhooks:
    """Posts one status of each reply by the sender of all other posts."""

    def __init__(self, sender: Sender, start: float, answered: Mapping[str, PlannedEvent]) -> None:
        self._sender = sender
        self._start = start
        self._answered = answered  # message id → the message that a reply with this text answers
        self._random = Random("webs of statuses")

    async def status(
        self, sent: ChatMessage, status: str, _errors: list[dict[str, Any]] | None = None
    ) -> None:
        answered = self._answered.get(sent.message["text"]["body"])
        if status != STATUS or answered is None:
            return
        now = time.time()
        item = {
            "id": sent.id,
            "status": STATUS,
            "timestamp": str(int(now)),
            "biz_opaque_callback_data": sent.callback,
            ("recipient_id" if sent.user.isdecimal() else "recipient_user_id"): sent.user,
        }
        event = PlannedEvent(
            key=f"status:{sent.id}:{STATUS}:",
            kind="status",
            type=STATUS,
            conversation=answered.conversation,
            occurred_at=int(now),
            message_id=sent.id,
            name=answered.name,
        )
        body = f.wire(f.body(f.statuses(item)))
        self._sender.add(Post(now - self._start, body, (event,), self._random.randrange(2)))


@contextmanager
def meta() -> Iterator[GraphStandIn]:
    """Run the stand-in, with all its faults; it reports nothing yet."""
    logging.getLogger("tornado.access").disabled = True  # each fault would be a line
    with graph_stand_in() as graph:
        graph.set_faults(**FAULTS, no_status=True)
        yield graph


def report_statuses(graph: GraphStandIn, sender: Sender, start: float) -> None:
    """Let the stand-in post its statuses by the sender from now on."""
    answered = {
        event.message_id: event
        for entry in sender.entries
        for event in entry.events
        if event.kind == "message"
    }
    graph.report_by(SenderWebhooks(sender, start, answered))
    graph.set_faults(**FAULTS)


def received(graph: GraphStandIn) -> list[ReceivedReply]:
    """Return what the stand-in took."""
    return [ReceivedReply(each["order"], each["message"]["text"]["body"]) for each in graph.sent]
