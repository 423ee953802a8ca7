"""The core with an outbox, and a stand-in for Meta that it sends to."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Row

from app.graph import client
from app.handlers import Context, Event
from app.outbox import OutboxSender, OutboxStatements, Rates, sweep
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, make_core, text_body
from tests.helpers.graph import GraphStandIn, graph_stand_in

Reply = Callable[[Event, Context], Any]


@dataclass
class Outbox:
    """A core whose handler of messages does what the test says, and a sender that runs when the test says."""

    core: Core
    graph: GraphStandIn
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    sender: OutboxSender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = OutboxSender(OutboxStatements(self.core.engine), Rates(self.core.redis))

    def handle(self, reply: Reply, *texts: str, **more: Any) -> None:
        """Run a handler for text messages."""
        self.core.registry.handlers.clear()
        self.core.on("message", None, reply)
        self.core.ingest(text_body(*texts, at=more.pop("at", int(time.time())), **more))
        self.core.run()

    def send(self, budget_seconds: float = 30) -> None:
        """Send what may leave now."""
        self.loop.run_until_complete(self.sender.run(budget_seconds))

    def rows(self) -> list[Row[Any]]:
        return self.core.rows("SELECT * FROM sends ORDER BY id")

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def make_due(self) -> None:
        """Let the time of each next attempt come, and no pause of a number be left."""
        self.core.execute("UPDATE sends SET due_at = clock_timestamp()")
        for key in self.core.redis.scan_iter("outbox:pause:*"):
            self.core.redis.delete(key)

    def let_waits_end(self) -> None:
        """Let leases of senders and waits for statuses run out, and sweep."""
        self.core.execute("UPDATE sends SET held_until = clock_timestamp() WHERE held_until IS NOT NULL")
        self.sweep()

    def sweep(self, unknown_seconds: float = 600) -> list[int]:
        return sweep(self.core.engine, unknown_seconds).died

    def report(self, send: Row[Any], status: str, **more: Any) -> None:
        """Let a status of Meta's arrive for a send."""
        item = f.status(status, id=f"wamid.of{send.id}", **more)
        item["biz_opaque_callback_data"] = f"neverdrop:{send.callback.hex}"
        self.core.ingest(f.body(f.statuses(item)))


@pytest.fixture
def outbox(env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    with graph_stand_in() as graph:
        env(WHATSAPP_API_URL=graph.url, WHATSAPP_ACCESS_TOKEN="token")
        client._reset()
        made = Outbox(make_core(monkeypatch), graph)
        yield made
        made.loop.run_until_complete(client.close_senders())
        made.loop.close()
        client.signaller().close()
        client._reset()
