"""The pipeline in miniature: the product's own functions in threads of one process, on real stores.

For a small load in a test, where a part of the product is replaced by a double that breaks a promise: the checker
must find it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from app import dead_letters
from app.broker import wakes
from app.broker.envelope import arguments_of
from app.dev.judge import EffectBase, Entry, Facts, queries
from app.dev.simulator import Try
from app.handlers import Context, Event
from app.handlers.registration import Handler, HandlerFunction, Registry
from app.handlers.retry import RetryPolicy
from app.ingest import Incoming, ingest
from app.lanes.claims import Claims
from app.lanes.lanes import Lanes
from app.recovery import sweeper
from app.replays import Choice, chosen, start
from app.replays import run as run_replay
from app.stores.connections import engine, lane_engine, redis
from app.watch import unknown_handlers
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS, WEBHOOKS
from tests.chaos import effects
from tests.chaos.bodies import CRM_LANE, Post
from tests.helpers import loop
from tests.helpers.factories import signed
from tests.helpers.waiting import until

SENDERS = 3
WORKERS = 3
POLICY = RetryPolicy(base_seconds=0.05, cap_seconds=0.05)
SETTLE_SECONDS = 1.0
TIME_LIMIT_SECONDS = 10.0
LANES_AT_ONCE = 8
BUDGET_SECONDS = 1.0
GRACE_SECONDS = 0.3
PAUSE_SECONDS = 0.01  # of a thread that finds nothing to do
SWEEP_SECONDS = 0.1
STEADY_LOOKS = 3  # at queues and tables that are empty: the stores are not read at one moment
MAX_SECONDS = 120.0


@dataclass
class Miniature:
    """``handler`` runs every text and status; ``claims`` and the lease are those of the workers.

    ``other_release``: one worker more, which has a handler for everything, under another name, that does nothing.
    ``replays`` are begun once half of it is done.
    """

    handler: HandlerFunction = effects.message
    claims: type[Claims] = Claims
    lease_seconds: float = 10.0
    other_release: bool = False
    replays: Sequence[Choice] = ()
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, posts: Sequence[Post]) -> Facts:
        """Send everything once, side by side, wait until nothing is left to be done, and read the facts.

        TimeoutError: too much is left for that to be seen in time.
        """
        EffectBase.metadata.create_all(engine())
        entries = [Entry(post.events) for post in posts]
        loops = [self._ingest, self._sweep, *([self._work] * WORKERS)]
        loops += [partial(self._work, self._other_registry())] if self.other_release else []
        with ThreadPoolExecutor(len(loops)) as pool:
            threads = [pool.submit(self._repeat, loop) for loop in loops]
            try:
                self._send(posts, entries)
                self._replay()
                self._await_the_end(threads)
            finally:
                self._over.set()
            for thread in threads:
                thread.result()
        self._work_off()
        return queries.read(engine(), redis(), entries)

    def _work_off(self) -> None:
        """Take what a worker that stalled gave back when the others had ended."""
        while redis().llen(CONVERSATIONS) or redis().llen(BULK_CONVERSATIONS):
            self._work()

    def _send(self, posts: Sequence[Post], entries: Sequence[Entry]) -> None:
        client = loop.client()

        def send(number: int) -> None:
            request = signed(posts[number].body)
            began = time.time()
            answer = client.post("/webhook", data=request.body, headers=request.headers)
            entries[number].tries.append(Try("web", began, time.time(), answer.status_code))

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(send, range(len(entries))))

    def _replay(self) -> None:
        for choice in self.replays:
            until(lambda: (progress := queries.progress(engine(), redis())).final * 2 > progress.events > 0)
            with engine().connect() as connection:
                ids = chosen(connection, choice)
            begun = start(engine(), choice, "a test", "a test", len(ids))
            run_replay(engine(), redis(), self._registry(), begun, ids)

    def _await_the_end(self, threads: Sequence[Future[None]]) -> None:
        """Raise what a thread raised, or TimeoutError."""
        deadline = time.monotonic() + MAX_SECONDS
        empty = 0
        while empty < STEADY_LOOKS:
            for thread in threads:
                if thread.done():
                    thread.result()
            left = queries.progress(engine(), redis()).unfinished
            if left and time.monotonic() > deadline:  # the checker would take what is late for lost
                raise TimeoutError(f"{left} things are still to be done after {MAX_SECONDS:g} s")
            empty = 0 if left else empty + 1
            time.sleep(SWEEP_SECONDS)

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._over.is_set():
            step()

    def _ingest(self) -> None:
        message: Any = redis().rpop(WEBHOOKS)
        if message is None:
            time.sleep(PAUSE_SECONDS)
            return
        incoming = [Incoming(UUID(id_), body) for id_, body in arguments_of(message)[0]]
        with suppress(DBAPIError):  # they stay in the journal, and a sweep enqueues them again
            ingest(engine(), redis(), self._registry(), incoming)

    def _work(self, registry: Registry | None = None) -> None:
        message: Any = redis().rpop(CONVERSATIONS) or redis().rpop(BULK_CONVERSATIONS)
        if message is None:
            time.sleep(PAUSE_SECONDS)
            return
        lanes = self._lanes(registry or self._registry())
        taken = wakes.receive_wakes(redis(), arguments_of(message)[:1], LANES_AT_ONCE)
        with lanes.runner() as runner:
            steps = runner.advance(taken.lanes, BUDGET_SECONDS)
        wakes.wake(redis(), [step.lane for step in steps if step.has_more])

    def _sweep(self) -> None:
        with engine().connect() as connection:
            due = sweeper.due_lanes(connection)
            stored = sweeper.stored_deliveries(connection)
        wakes.wake(redis(), due)
        if stored:
            with suppress(DBAPIError):  # as a failed task of the sweep's: the next one finds them again
                ingest(engine(), redis(), self._registry(), stored)
        sweeper.sweep_lanes(engine(), redis(), GRACE_SECONDS, self.lease_seconds)
        sweeper.sweep_journal(redis(), GRACE_SECONDS)
        dead_letters.reconcile(engine(), redis())
        time.sleep(SWEEP_SECONDS)

    def _registry(self) -> Registry:
        copy = Handler("chaos copy", self._copy, POLICY, "hold", None, lane=CRM_LANE)
        return _registry(Handler("chaos", self.handler, POLICY, "hold", None), copy)

    def _copy(self, event: Event, ctx: Context) -> None:
        effects.message(event, ctx, CRM_LANE)

    def _other_registry(self) -> Registry:
        handler = Handler("other release", lambda _event, _ctx: None, POLICY, "hold", None)
        return _registry(handler)

    def _lanes(self, registry: Registry) -> Lanes:
        return Lanes(
            engine=lane_engine(),
            claims=self.claims(redis(), self.lease_seconds, SETTLE_SECONDS),
            registry=registry,
            worker=f"miniature@test/{threading.get_ident()}",
            settle_seconds=SETTLE_SECONDS,
            handler_time_limit_seconds=TIME_LIMIT_SECONDS,
            enqueue_dead_letter=lambda event_id: dead_letters.enqueue_dead_letter(redis(), event_id),
            wake=lambda lanes: wakes.wake(redis(), lanes),
            wake_senders=lambda: wakes.wake_senders(redis()),
            record_unknown=lambda names: unknown_handlers.record(redis(), names),
        )


def _registry(handler: Handler, copy: Handler | None = None) -> Registry:
    """A handler of texts and statuses, and another of texts alone."""
    of_copy = {("message", "text", copy.lane): copy} if copy else {}
    of_both = {("message", "text", handler.lane): handler, ("status", None, handler.lane): handler}
    return Registry(of_both | of_copy)
