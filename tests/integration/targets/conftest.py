"""A forwarder on the test's stores, and targets that answer what a test says."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.broker import wake_senders
from app.dead_letters import enqueue_dead_letter
from app.stores import lane_engine
from app.targets.answers import TargetAnswer
from app.targets.forwarder import Forwarder
from app.targets.load import Loaded, _register
from app.targets.statements import TargetStatements
from app.targets.target import Target
from tests.helpers.core import SETTLE_SECONDS, Core
from tests.helpers.targets import target

DONE = TargetAnswer(200)


@dataclass
class FakeTarget:
    """A target in the test's process: what it got, in order, and what it answers by text; None never answers."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # webhook-id, body
    answers: dict[str, list[TargetAnswer | None]] = field(default_factory=dict)  # text → the next answers

    async def post(self, headers: Mapping[str, str], body: str) -> TargetAnswer:
        content = json.loads(body)
        self.seen.append((headers["webhook-id"], content))
        waiting = self.answers.get(text_of(content)) or [DONE]
        answer = waiting.pop(0) if waiting else DONE
        if answer is None:
            await asyncio.sleep(3600)
        assert answer is not None
        return answer

    @property
    def texts(self) -> list[str]:
        return [text_of(content) for _, content in self.seen]

    @property
    def ids(self) -> list[str]:
        return [id_ for id_, _ in self.seen]


def text_of(content: Mapping[str, Any]) -> str:
    """What was written; the texts of a burst with + between them, and a type in brackets for what has none."""
    events = content["data"].get("events", [content["data"]])
    return " + ".join(event["text"] or f"[{event['type']}]" for event in events)


@dataclass
class Targets:
    """A core whose events go to targets."""

    core: Core
    fakes: dict[str, FakeTarget] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def add(self, name: str = "crm", **more: Any) -> FakeTarget:
        self.targets[name] = target(name=name, **more)
        _register(self.targets[name], self.core.registry)
        self.fakes[name] = FakeTarget()
        return self.fakes[name]

    def forwarder(self, worker: str = "forwarder") -> Forwarder:
        statements = TargetStatements(
            lane_engine(), self.core.redis, worker, SETTLE_SECONDS, lambda: wake_senders(self.core.redis)
        )
        loaded = Loaded(self.targets, self.functions)
        return Forwarder(
            loaded, statements, self.fakes, lambda id_: enqueue_dead_letter(self.core.redis, id_)
        )

    def run(self, forwarder: Forwarder | None = None) -> Forwarder:
        """Forward until nothing may begin any more, and everything is recorded."""
        given = forwarder or self.forwarder()

        async def until_idle() -> None:
            given.look_again()
            while await given.turn():
                await given.drained()
                given.look_again()

        asyncio.run(until_idle())
        return given

    def kill_in_the_middle(self, worker: str = "killed") -> None:
        """A forwarder begins what it may, posts it, and dies before it records anything."""

        async def begin() -> None:
            forwarder = self.forwarder(worker)
            await forwarder.turn()
            await asyncio.sleep(0.05)

        asyncio.run(begin())

    def let_leases_run_out(self) -> None:
        self.core.execute(
            "UPDATE jobs SET begun_at = begun_at - interval '1 hour' WHERE begun_at IS NOT NULL"
        )


@pytest.fixture
def targets(core: Core) -> Targets:
    return Targets(core)


__all__ = ["DONE", "FakeTarget", "Targets", "replace"]
