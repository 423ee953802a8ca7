"""Posts what waits in the outbox to Meta: many at a time, one of each conversation, in the order they were written."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import ParamSpec, TypeVar

from app.graph import Accepted, NoToken, NotSent, Unknown, post, throughput_level, token_for
from app.outbox import retry
from app.outbox.rates import Rates
from app.outbox.retry import SendDecision
from app.outbox.rows import TakenSend
from app.outbox.statements import OutboxStatements, Ready
from app.stores import STORE_ERRORS
from config.logging import get_logger

# A process that stands still for 4 s is missed: what it had begun is unknown then, others go on, and people decide
SURE_SECONDS = 2.0
MAX_IN_FLIGHT = 64
MANY_IN_FLIGHT = 8
POLL_SECONDS = 0.02  # between two looks for new sends while others are under way
IDLE_SECONDS = 0.2  # that a rate may be waited for; what takes longer is left to the sweep

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Result = tuple[TakenSend, SendDecision]


@dataclass(slots=True)
class OutboxSender:
    """One process's sender. Several may run: the rows tell them apart, Redis holds the rates for all."""

    statements: OutboxStatements
    rates: Rates
    _cursors: dict[str, str] = field(default_factory=dict)  # number → the conversation that was taken last
    _in_flight: set[asyncio.Task[Result]] = field(default_factory=set)
    _unrecorded: list[Result] = field(default_factory=list)  # Postgres was away when they came back

    async def run(self, budget_seconds: float) -> bool:
        """Send until nothing may leave, or the budget is used up; return whether there may be more.

        1. take: state ``sending`` and the attempt are on disk before anything is posted;
        2. post;
        3. record what came back.

        Dying after 1 leaves ``sending``, which a sweep makes ``unknown`` when the lease ends: whether 2 was reached
        cannot be told. Dying between 2 and 3 is the same. Nothing is taken after the budget, and what is under way is
        waited for, so that a stop costs no attempt. What Postgres could not take is recorded by the next run.
        """
        stop_at = time.monotonic() + budget_seconds
        await self._record()
        more = True
        try:
            while more or self._in_flight:
                open_ = time.monotonic() < stop_at
                taken, wait_seconds = await self._take() if open_ else (0, 0.0)
                await self._collect(POLL_SECONDS)
                recorded = await self._record()  # the next of these conversations may leave now
                more = open_ and (taken + recorded > 0 or 0 < wait_seconds <= IDLE_SECONDS)
                if more and not taken and not self._in_flight:
                    await asyncio.sleep(wait_seconds)
        finally:
            await self._collect(None)
            await self._record()
        return time.monotonic() >= stop_at

    async def _take(self) -> tuple[int, float]:
        """Begin sends as far as the rates allow; return how many, and the shortest wait of a number that may not."""
        taken, waits = 0, []
        for number, refused_token in (await self._beside(self.statements.numbers)).items():
            room = MAX_IN_FLIGHT - len(self._in_flight)
            if room <= 0 or not self._may_send(number, refused_token):
                continue
            if not self.rates.level_is_known(number):
                self.rates.set_level(number, await throughput_level(number))
            granted, wait_seconds = self.rates.take(number, room)
            if granted:
                taken += await self._begin(number, granted)
            else:
                waits.append(wait_seconds)
        return taken, min(waits, default=0.0)

    def _may_send(self, number: str, refused_token: str | None) -> bool:
        """Return whether the number has a token that Meta has not refused; a new one resumes the number."""
        try:
            digest = token_digest(token_for(number))
        except NoToken:
            return False
        if refused_token is None:
            return True
        if refused_token == digest:
            return False
        log.info("outbox.resumed", phone_number_id=number, reason="it has another token")
        return self.statements.resume(number)

    async def _begin(self, number: str, most: int) -> int:
        cursor, asked = self._cursors.get(number, ""), time.monotonic()
        ready = await self._beside(self.statements.take, number, cursor, most)
        if len(ready) < most and cursor:
            ready += await self._beside(self.statements.take, number, "", most - len(ready))
        self._cursors[number] = max((each.conversation for each in ready), default="") if ready else ""
        for each in ready:
            self._in_flight.add(asyncio.create_task(self._send(each, asked)))
        return len(ready)

    async def _beside(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Ask Postgres: beside the event loop while answers of Meta's are awaited, else at once."""
        if self._in_flight:
            return await asyncio.to_thread(call, *arguments, **named)
        return call(*arguments, **named)

    async def _send(self, ready: Ready, asked: float) -> Result:
        """Post one send that was ``asked`` for then (monotonic); whatever happens is a result."""
        send = ready.send
        if ready.window_closed and not self.statements.window_is_open(ready.conversation):
            if ready.outside_window is None:
                return send, SendDecision("dead", OUTSIDE_WINDOW, 131047)
            send = send.with_body(ready.outside_window)
        if not await self._is_ours(send, asked):
            return send, SendDecision("queued", "not posted: its sender stood still", costs_nothing=True)
        try:
            answer = await post(send.number, send.request())
        except Exception as error:
            log.exception("outbox.send_failed", send_id=send.id, error=type(error).__name__)
            answer = Unknown(f"{type(error).__name__} while it was sent")
        if isinstance(answer, Accepted | NotSent):
            self.rates.record(send.number, reached=isinstance(answer, Accepted) or answer.code is not None)
        return send, retry.judge(answer, send.attempt, send.age_seconds)

    async def _is_ours(self, send: TakenSend, asked: float) -> bool:
        """Whether the send may be posted still, where the process may have stood still since ``asked``."""
        while time.monotonic() - asked > SURE_SECONDS:
            asked = time.monotonic()
            try:
                if not await asyncio.to_thread(self.statements.is_current, send):
                    return False
            except STORE_ERRORS as error:  # nobody knows
                log.warning("outbox.interrupted", error=type(error).__name__)
                return False
        return True

    async def _collect(self, wait_seconds: float | None) -> None:
        """Take over what has come back, waiting so long for the first; None waits for all."""
        if not self._in_flight:
            return
        if wait_seconds is not None and len(self._in_flight) > MANY_IN_FLIGHT:
            await asyncio.sleep(wait_seconds)  # many are recorded in one statement
            wait_seconds = 0
        when = asyncio.ALL_COMPLETED if wait_seconds is None else asyncio.FIRST_COMPLETED
        done, self._in_flight = await asyncio.wait(self._in_flight, timeout=wait_seconds, return_when=when)
        self._unrecorded += [task.result() for task in done]

    async def _record(self) -> int:
        """Write down what has come back, then act on it; return how many."""
        if self._unrecorded:
            await self._beside(self.statements.record, self._unrecorded)
        results, self._unrecorded = self._unrecorded, []
        self._act(results)
        return len(results)

    def _act(self, results: Sequence[Result]) -> None:
        """Stop or pause numbers as the answers ask, and log what became of each send."""
        for send, decision in results:
            fields = {
                "send_id": send.id,
                "phone_number_id": send.number,
                "attempt": send.attempt,
                "error": decision.error,
            }
            if decision.stops_number:
                self._stop(send.number, decision)
            if decision.pauses_number_seconds:
                self.rates.pause(send.number, decision.pauses_number_seconds)
            if decision.state == "accepted":
                log.info("reply.accepted", **fields)
            elif decision.state == "queued":
                log.warning("reply.not_sent", **fields, again_after_seconds=decision.after_seconds)
            elif decision.state == "unknown":
                log.error("reply.unknown", **fields)
            else:
                log.error("reply.dead", **fields)

    def _stop(self, number: str, decision: SendDecision) -> None:
        try:
            digest = token_digest(token_for(number))
        except NoToken:
            return
        self.statements.stop(number, digest, decision.code, decision.error or "")
        log.error("outbox.stopped", phone_number_id=number, error=decision.error)


OUTSIDE_WINDOW = (
    "the user wrote more than 24 hours ago, so Meta takes templates only: reply(..., outside_window=template)"
)


def token_digest(token: str) -> str:
    """Return what tells two tokens apart without being one."""
    return blake2b(token.encode(), digest_size=16).hexdigest()
