"""The core driven in one process: deliveries accepted, ingested and their lanes advanced without Celery.

    core = Core()
    core.on("message")
    core.ingest(text_body("a", "b"))
    core.run()
    assert core.seen == ["a", "b"]

Each has a registry of its own. Time passes when a test says so: ``make_due`` and ``let_leases_run_out``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, text

from app import dead_letters
from app.broker import wakes
from app.broker.envelope import arguments_of
from app.handlers import MAIN_LANE, Context, Event
from app.handlers import registry as process_registry
from app.handlers.registration import Handler, HandlerFunction, OnFailure, Registry
from app.handlers.retry import RetryPolicy
from app.ingest.rows import Incoming, Ingested
from app.ingest.store import ingest
from app.intake import primary_store
from app.lanes.claims import Claim, Claims
from app.lanes.lanes import Lanes
from app.lanes.outcome import Step
from app.recovery.redis_time import now_ms
from app.stores import Priority, connections
from app.stores.connections import engine, lane_engine, redis
from app.stores.delivery_id import DeliveryIds, ids
from app.stores.redis_keys import CLAIM_PREFIX
from app.watch import unknown_handlers
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS, DEAD_LETTERS, WEBHOOKS
from tests.helpers import factories as f
from tests.helpers import loop

LEASE_SECONDS = 30
SETTLE_SECONDS = 2
TIME_LIMIT_SECONDS = 60
BUDGET_SECONDS = 60
BACKOFF_SECONDS = 3600  # an attempt that failed is due when the test says so
NS_PER_MS = 1_000_000
WAIT_SECONDS = 20  # for another thread, on a busy machine


class Killed(BaseException):
    """The process ends here, and nothing of ours tidies up after it."""


class ClaimsOfTheKilled(Claims):
    """The claims of a worker that is killed: nobody releases them."""

    def release(self, claims: Sequence[Claim]) -> None:
        pass


def text_body(*texts: str, sender: int = 1, at: int = f.NOW, **more: Any) -> f.Json:
    """A delivery of text messages, each with an id of its own: the text's, so that saying it again is the same."""
    return f.body(f.messages(*(text_item(words, sender, at, **more) for words in texts)))


def text_item(words: str, sender: int = 1, at: int = f.NOW, **more: Any) -> f.Json:
    return f.text_message(words, number=words, sender=sender, timestamp=str(at), **more)


def key_of(words: str) -> str:
    """The key of the message that ``text_body`` makes of a text."""
    return f"message:{f.wamid(words)}"


def raw(content: f.Json | bytes) -> bytes:
    return content if isinstance(content, bytes) else f.wire(content)


def delivery_id_at(unix_ms: float) -> str:
    """The id of a delivery that was accepted then."""
    return DeliveryIds(lambda: int(unix_ms * NS_PER_MS)).take(1)[0]


@dataclass
class Core:
    """Everything between the journal and ``done``, in the test's own stores."""

    registry: Registry = field(default_factory=Registry)
    seen: list[str] = field(default_factory=list)  # what the ordinary handler ran, in order
    broken: set[str] = field(default_factory=set)  # texts that the handler made by ``failing`` fails on

    @property
    def engine(self) -> Engine:
        return engine()

    @property
    def redis(self) -> Any:
        return redis()

    # Handlers

    def on(
        self,
        kind: str,
        type_: str | None = None,
        function: HandlerFunction | None = None,
        *,
        max_attempts: int = 3,
        on_failure: OnFailure = "hold",
        time_limit_seconds: float | None = None,
        lane: str = MAIN_LANE,
        max_age_seconds: float | None = None,
        priority: Literal["urgent", "normal", "bulk"] | None = None,
        grouped: bool = False,
    ) -> None:
        """Register a handler; without a function one that notes what it ran in ``seen``."""
        policy = RetryPolicy(max_attempts, BACKOFF_SECONDS, BACKOFF_SECONDS)
        name = f"tests.{kind}_{type_ or 'any'}" + (f"_{lane}" if lane != MAIN_LANE else "")
        handler = Handler(
            name,
            function or self.note,
            policy,
            on_failure,
            time_limit_seconds,
            lane=lane,
            max_age_seconds=max_age_seconds,
            priority=Priority(priority) if priority else None,
            grouped=grouped,
        )
        self.registry.add(kind, type_, handler)

    def note(self, event: Event, _ctx: Context) -> None:
        self.seen.append(event.text or event.type)

    def failing(self, *texts: str, error: Exception | None = None) -> HandlerFunction:
        """A handler that fails on these texts until they are taken out of ``broken``, and notes the others."""
        self.broken.update(texts)

        def handle(event: Event, ctx: Context) -> None:
            if event.text in self.broken:
                raise error or ValueError(f"cannot handle {event.text}")
            self.note(event, ctx)

        return handle

    # Deliveries

    def accept(self, *contents: f.Json | bytes, at_ms: float | None = None) -> list[str]:
        """Write to the primary store, as one task; ``at_ms`` dates the acceptance (Unix ms)."""
        taken = ids.take(len(contents)) if at_ms is None else [delivery_id_at(at_ms) for _ in contents]
        with pytest.MonkeyPatch.context() as patch:
            # It waits, where the machine is busy
            patch.setattr(connections, "WEB_REDIS_TIMEOUT_SECONDS", loop.PATIENCE_SECONDS)
            if at_ms is not None:  # which Redis would take for a clock that was set
                patch.setattr(
                    primary_store, "SCRIPT", primary_store.SCRIPT.replace("1000000 then", "1e20 then")
                )
            loop.run(
                primary_store.write(
                    [(id_, raw(content)) for id_, content in zip(taken, contents, strict=True)]
                )
            )
        return taken

    def accept_in_fallback_store(self, content: f.Json | bytes, seconds_old: float = 0) -> str:
        """A delivery that Postgres took, not split yet."""
        id_ = delivery_id_at(now_ms(self.redis) - seconds_old * 1000)
        self.execute(
            "INSERT INTO deliveries (id, accepted_at, door, state, body) VALUES "
            "(:id, clock_timestamp() - make_interval(secs => :old), 'postgres', 'stored', :body)",
            id=UUID(id_),
            old=seconds_old,
            body=raw(content),
        )
        return id_

    def ingest(self, *contents: f.Json | bytes) -> Ingested:
        """Deliveries accepted just now, in this order, ingested together."""
        return self.ingest_as(*zip(ids.take(len(contents)), contents, strict=True))

    def ingest_as(self, *deliveries: tuple[str, f.Json | bytes]) -> Ingested:
        """Deliveries with ids of their own choice, ingested together."""
        incoming = [Incoming(UUID(id_), raw(content)) for id_, content in deliveries]
        return ingest(self.engine, self.redis, self.registry, incoming)

    def take_task(self) -> list[tuple[str, bytes]]:
        """The deliveries of the oldest ``ingest`` task, taken out of the queue."""
        return [(id_, body) for id_, body in arguments_of(self.redis.rpop(WEBHOOKS))[0]]

    def ingest_waiting(self) -> list[Ingested]:
        """What the tasks in the queue ``webhooks`` would do, one after the other."""
        return [self.ingest_as(*self.take_task()) for _ in range(self.redis.llen(WEBHOOKS))]

    # Lanes

    def lanes(self, worker: str = "worker", *, killed: bool = False, **different: Any) -> Lanes:
        """What a worker process runs lanes with; one that is ``killed`` leaves its claims behind."""
        settle = different.pop("settle_seconds", SETTLE_SECONDS)
        make = ClaimsOfTheKilled if killed else Claims
        return Lanes(
            engine=lane_engine(),
            claims=make(self.redis, different.pop("lease_seconds", LEASE_SECONDS), settle),
            registry=self.registry,
            worker=worker,
            settle_seconds=settle,
            handler_time_limit_seconds=different.pop("time_limit_seconds", TIME_LIMIT_SECONDS),
            enqueue_dead_letter=lambda event_id: dead_letters.enqueue_dead_letter(self.redis, event_id),
            wake=lambda lanes: wakes.wake(self.redis, lanes),
            wake_senders=lambda: wakes.wake_senders(self.redis),
            record_unknown=lambda names: unknown_handlers.record(self.redis, names),
            must_end=(Killed,),
        )

    def step(self, lane: int, **lanes: Any) -> Step:
        return self.lanes(**lanes).step(lane)

    def advance(self, lane: int) -> Step:
        (step,) = advanced(self.lanes(), [lane])
        return step

    def run(self) -> list[Step]:
        """What the tasks in the queue ``conversations`` would do, and those that they chain."""
        steps = []
        while (message := self.redis.rpop(CONVERSATIONS) or self.redis.rpop(BULK_CONVERSATIONS)) is not None:
            lane = arguments_of(message)[0]
            wakes.receive_wakes(self.redis, [lane])
            steps.append(self.advance(lane))
            if steps[-1].has_more:
                wakes.wake(self.redis, [lane])
        return steps

    def wakes_in_queue(self) -> list[int]:
        """The lanes that have a message in the queue, in the order in which workers get them."""
        queues = (CONVERSATIONS, BULK_CONVERSATIONS)
        messages = [message for queue in queues for message in reversed(self.redis.lrange(queue, 0, -1))]
        return [arguments_of(message)[0] for message in messages]

    def kill_worker_in(self, lane: int) -> None:
        """A worker begins the lane's next event and is killed under it."""

        def die(event: Event, ctx: Context) -> None:
            raise Killed

        registry = Registry({key: _with(handler, die) for key, handler in self.registry.handlers.items()})
        dying = Core(registry)
        try:
            dying.step(lane, worker="killed", killed=True)
        except Killed:
            return
        raise AssertionError("there was nothing to run")

    # Time

    def let_leases_run_out(self) -> None:
        for key in self.redis.scan_iter(f"{CLAIM_PREFIX}*"):
            self.redis.delete(key)

    def make_due(self) -> None:
        self.execute("UPDATE jobs SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")

    # What the tables hold

    def execute(self, statement: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def rows(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), parameters))

    def value(self, statement: str, **parameters: Any) -> Any:
        """The only column of the only row."""
        ((found,),) = self.rows(statement, **parameters)
        return found

    def event(self, words: str) -> Row[Any]:
        """The event of the message that ``text_body`` made of a text."""
        (row,) = self.rows("SELECT * FROM event_jobs WHERE key = :key", key=key_of(words))
        return row

    def attempts_of(self, words: str) -> list[Row[Any]]:
        return self.rows(
            "SELECT * FROM job_attempts WHERE job_id = :id ORDER BY number", id=self.event(words).id
        )

    def states(self) -> dict[str, int]:
        """How many events are in each state."""
        return {
            row.state: row.number
            for row in self.rows("SELECT state, count(*) AS number FROM event_jobs GROUP BY state")
        }

    def dead_queue(self) -> list[int]:
        """The events that have a message in the queue of dead letters."""
        return sorted(arguments_of(message)[0] for message in self.redis.lrange(DEAD_LETTERS, 0, -1))

    def make_notes(self) -> None:
        """A table for the effects of handlers."""
        self.execute("CREATE TABLE notes (words text NOT NULL)")

    def notes(self) -> list[str]:
        """The effects that are committed."""
        return [row.words for row in self.rows("SELECT words FROM notes ORDER BY words")]


def make_core(
    monkeypatch: pytest.MonkeyPatch,
    *,
    messages: Literal["noted", "failing"] | None = None,
    broken: Sequence[str] = (),
    max_attempts: int = 3,
    notes: bool = False,
    of_process: bool = False,
) -> Core:
    """A core on the stores of the settings.

    ``messages``: how its handler of messages works, None for no handler; one that is failing fails on the texts in
    ``core.broken``, at first ``broken``. ``notes``: with the table of ``write_note``. ``of_process``: its handlers are
    those of the process too, as for a task or command that was given HANDLERS.
    """
    core = Core()
    if messages:
        core.on(
            "message",
            None,
            core.failing(*broken) if messages == "failing" else None,
            max_attempts=max_attempts,
        )
    if notes:
        core.make_notes()
    if of_process:
        monkeypatch.setattr(process_registry, "handlers", core.registry.handlers)
    return core


def write_note(ctx: Context, words: str) -> None:
    ctx.session.execute(text("INSERT INTO notes VALUES (:words)"), {"words": words})


def _with(handler: Handler, function: HandlerFunction) -> Handler:
    return replace(handler, function=function)


def advanced(lanes: Lanes, asked: Sequence[int], budget_seconds: float = BUDGET_SECONDS) -> list[Step]:
    """What became of the lanes that were asked for, on a connection of their own."""
    with lanes.runner() as runner:
        return runner.advance(asked, budget_seconds)
