"""Posts events to targets: many at a time, one of each lane, in the order of each conversation.

A process of its own, and no pool of workers: an answer that takes 15 s holds a connection and nothing else, so that
neither handlers nor replies nor another target wait for it. Everything that is decided is in ``answers`` and ``gate``.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from redis.exceptions import RedisError

from app.errors import NeverdropError
from app.outbox import SURE_SECONDS
from app.stores import STORE_ERRORS, Fault, judge, retry_on_stale_connection
from app.targets import answers, body, signing
from app.targets.answers import TargetAnswer, TargetDecision
from app.targets.gate import TargetGate
from app.targets.load import Loaded
from app.targets.pauses import stop_gone
from app.targets.payload import PayloadFailed, made_by
from app.targets.replies import RefusedReplies, replies_of
from app.targets.rows import TargetAttempt, TargetResult
from app.targets.statements import TargetStatements
from app.targets.target import Target
from app.watch import reporting
from config.logging import get_logger, hiding, mask_error

IDLE_SECONDS = 1.0  # between two looks while nothing wakes it: due attempts, and wakes that were lost
AWAY_SECONDS = 1.0  # before the next try, where a store is away
SETTLE_POLL_SECONDS = 0.05  # while an earlier delivery is about to be stored

log = get_logger(__name__)

T = TypeVar("T")


class ForwardFailed(NeverdropError):
    """An attempt failed: what Sentry is told."""


class Client(Protocol):
    """What posts to one target."""

    async def post(self, headers: Mapping[str, str], body: str) -> TargetAnswer: ...


@dataclass(slots=True)
class Forwarder:
    """One process's forwarder. Several may run: the rows tell their attempts apart."""

    loaded: Loaded
    statements: TargetStatements
    clients: Mapping[str, Client]
    enqueue_dead_letter: Callable[[int], object]
    gates: dict[str, TargetGate] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    last_errors: dict[str, str] = field(default_factory=dict)  # target → why its last attempt failed
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: set[str] = field(default_factory=set)  # targets that had nothing to begin at the last look
    _idle_since: float = 0.0
    _wakes: int = 0
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _unrecorded: list[TargetResult] = field(default_factory=list)
    _stores: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "stores"))

    def __post_init__(self) -> None:
        for name, target in self.targets.items():
            self.gates.setdefault(name, TargetGate(target.concurrency, target.rate))

    @property
    def targets(self) -> Mapping[str, Target]:
        return self.loaded.targets

    async def run(self, stop: asyncio.Event, drain_seconds: float) -> None:
        """Forward until ``stop``; then wait so long for what is under way, and record it.

        1. take: the attempt is committed before anything is posted;
        2. post;
        3. record what came back.

        Dying after 1 leaves an attempt without an end; when its lease is over it is posted again under the same id,
        whether 2 was reached or not. Dying between 2 and 3 is the same.
        """
        while not stop.is_set():
            self.wake.clear()
            try:
                if not await self.turn():
                    await self._wait()
            except STORE_ERRORS as error:
                self._log_fault(error)
                await asyncio.sleep(AWAY_SECONDS)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=drain_seconds)
        try:
            await self._record()
        except STORE_ERRORS as error:
            self._log_fault(error)

    async def turn(self) -> bool:
        """Record what has come back, and begin what may begin; return whether there was anything."""
        recorded = await self._record()
        now = time.monotonic()
        if now >= self._idle_since + IDLE_SECONDS:  # due attempts, and wakes that were lost
            self._idle, self._idle_since = set(), now
        closed = self.paused | self._idle
        rooms = {
            name: room for name, gate in self.gates.items() if name not in closed and (room := gate.room(now))
        }
        taken: list[TargetAttempt] = []
        wakes, asked = self._wakes, time.monotonic()
        if rooms:
            taken = await self.with_stores(lambda: self.statements.take(rooms, self.targets))
            # What came while the stores were asked may not have been seen
            if not self.statements.has_unsettled and wakes == self._wakes:
                self._idle |= rooms.keys() - {attempt.target.name for attempt in taken}
        for attempt in taken:
            self.gates[attempt.target.name].begin(1)
            self._under_way.add(asyncio.create_task(self._attempt(attempt, asked)))
        return bool(taken) or recorded > 0

    def look_again(self) -> None:
        """Look for jobs of every target at once: some came."""
        self._wakes += 1
        self._idle.clear()
        self.wake.set()

    async def with_stores(self, call: Callable[[], T]) -> T:
        """Run what asks the stores in a thread of its own: while one hangs, answers of targets are read on."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._stores, lambda: retry_on_stale_connection(call))

    async def drained(self) -> None:
        """Wait for what is under way and record it: for tests and for the end."""
        while self._under_way or self._unrecorded:
            if self._under_way:
                await asyncio.wait(self._under_way)
            await self._record()

    async def _wait(self) -> None:
        """Wait for an answer, a wake, or for what time alone brings."""
        now = time.monotonic()
        waits = [gate.wait_seconds(now) for gate in self.gates.values()]
        seconds = min((wait for wait in waits if wait is not None), default=IDLE_SECONDS)
        if self.statements.has_unsettled:
            seconds = SETTLE_POLL_SECONDS
        try:
            async with asyncio.timeout(max(0.001, min(seconds, IDLE_SECONDS))):
                await self.wake.wait()
        except TimeoutError:
            pass

    async def _attempt(self, attempt: TargetAttempt, asked: float) -> None:
        """Post one event that was ``asked`` for then (monotonic); whatever happens is a result."""
        target, gate = attempt.target, self.gates[attempt.target.name]
        began = time.monotonic()
        try:
            result = await self._post(attempt, asked)
        except Exception as error:  # of ours
            log.exception("target.attempt_crashed", target=target.name, error=type(error).__name__)
            seconds = answers.backoff(attempt.since_retry)
            result = TargetResult(
                attempt, TargetDecision("again", type(error).__name__, after_seconds=seconds)
            )
        now = time.monotonic()
        gate.end(now, now - began, failed=result.decision.failed)
        if result.decision.throttle_seconds:
            gate.throttle(now, result.decision.throttle_seconds)
        if result.decision.next == "stop":
            self.paused.add(target.name)
        self._idle.discard(target.name)  # the next of its lane may begin
        self._unrecorded.append(result)
        task = asyncio.current_task()
        if task is not None:
            self._under_way.discard(task)
        self.wake.set()

    async def _post(self, attempt: TargetAttempt, asked: float) -> TargetResult:
        target = attempt.target
        try:
            content = await self._body(attempt)
        except PayloadFailed as error:
            return TargetResult(attempt, error.decision(attempt.since_retry))
        if not await self._is_ours(attempt, asked):
            return TargetResult(attempt, TargetDecision("again", "its forwarder stood still"))
        id_ = signing.webhook_id(attempt.event.id, target.name, attempt.replay_id)
        headers = signing.headers(target, id_, content, datetime.now(UTC))
        answer = await self.clients[target.name].post(headers, content)
        decision = answers.judge(answer, attempt.since_retry, attempt.age_seconds)
        try:
            found = replies_of(answer)
        except RefusedReplies as error:
            decision, found = TargetDecision("dead", str(error), failed=False), []
        return TargetResult(attempt, decision, answer.kept, found, answer.seconds)

    async def _is_ours(self, attempt: TargetAttempt, asked: float) -> bool:
        """Whether the attempt is current still, where the process may have stood still since ``asked``."""
        while time.monotonic() - asked > SURE_SECONDS:
            asked_again = time.monotonic()
            try:
                if not await self.with_stores(lambda: self.statements.is_current(attempt)):
                    return False
            except STORE_ERRORS as error:  # nobody knows; others cannot begin it either
                self._log_fault(error)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            asked = asked_again
        return True

    async def _body(self, attempt: TargetAttempt) -> str:
        target, events = attempt.target, attempt.events
        replayed = attempt.replay_id is not None
        content: Any = body.body_of(events, target, attempt.since_retry, replayed=replayed)
        function = self.loaded.functions.get(target.name)
        if function is not None:
            given = events[0] if target.join is None else list(events)
            content = await made_by(function, given, content, target.timeout_seconds)
        return body.as_json(content)

    async def _record(self) -> int:
        """Write down what has come back, then say so; return how many. What a store could not take is kept."""
        results = list(self._unrecorded)
        if not results:
            return 0
        recorded = await self.with_stores(lambda: self.statements.record(results))
        del self._unrecorded[: len(results)]
        gone = {result.attempt.target.name for result in recorded if result.decision.next == "stop"}
        for name in gone:
            await self.with_stores(lambda name=name: stop_gone(self.statements.engine, name))  # type: ignore[misc]
        current = {id(result.attempt) for result in recorded}
        for result in results:
            if id(result.attempt) not in current:
                log.warning("event.stale_attempt", **_fields(result.attempt))
        for result in recorded:
            self._report(result)
        return len(results)

    def _report(self, result: TargetResult) -> None:
        """Tell the logs, Sentry and the queue of dead letters how an attempt ended."""
        attempt, decision = result.attempt, result.decision
        fields = _fields(attempt)
        if decision.next == "done":
            log.info("event.done", **fields, seconds=round(result.seconds, 4))
            return
        error = decision.error or ""
        shown = {**fields, "error": error, "seconds": round(result.seconds, 4)}
        with hiding(attempt.payloads):
            self.last_errors[attempt.target.name] = mask_error(error)  # for Redis, where nobody can be erased
            if decision.next == "dead":
                log.error("event.dead", **shown)
                reporting.dead_letter(error=ForwardFailed(error), **fields)
            else:
                log.warning(
                    "event.failed_attempt", **shown, again_after_seconds=round(decision.after_seconds, 1)
                )
                reporting.failed_attempt(error=ForwardFailed(error), **fields)
        if decision.next == "dead":
            try:
                self.enqueue_dead_letter(attempt.job_id)
            except RedisError as raised:  # a sweep brings the queue in line with the table
                log.warning("dead_letters.queue_not_reached", error=type(raised).__name__)

    def _log_fault(self, error: Exception) -> None:
        fault = judge(error)
        if fault is Fault.ITEM:
            log.error("forwarder.refused", error=type(error).__name__, exc_info=error)
        else:
            log.warning("forwarder.interrupted", fault=fault, error=type(error).__name__)


def _fields(attempt: TargetAttempt) -> dict[str, Any]:
    event = attempt.event
    return {
        "job_id": attempt.job_id,
        "event_id": event.id,
        "lane_name": attempt.target.lane_name,
        "key": event.key,
        "kind": event.kind,
        "type": event.type,
        "conversation": event.conversation,
        "handler": attempt.target.handler_name,
        "attempt": attempt.number,
        **({"joined": len(attempt.events)} if len(attempt.events) > 1 else {}),
    }
