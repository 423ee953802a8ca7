"""What a forwarder asks of the stores: which jobs may begin, and what became of those that were begun.

Everything is for many jobs at a time. An attempt is committed before its target is called, so that a forwarder that
dies leaves no doubt that it may have been; a commit does not wait for Postgres's disk, since what a crash takes back is
posted again under the same id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine

from app import outbox
from app.errors import Permanent
from app.handlers import Context
from app.lanes import bursts
from app.stores import JOURNAL_INDEX, REFUSALS, Prepared, is_items_fault, recordset, script
from app.targets import replies, sql
from app.targets.answers import TargetDecision
from app.targets.rows import TargetAttempt, TargetHead, TargetResult
from app.targets.target import Target
from config.logging import get_logger

LANES_LOOKED_AT = 500  # of a target, each time; the next time goes on behind them
ERROR_LENGTH = 1000
LEASE_MARGIN_SECONDS = 15.0  # above what an answer may take: then its forwarder is gone

log = get_logger(__name__)


@dataclass(slots=True)
class TargetStatements:
    """The statements of one forwarder; to be used by one thread at a time."""

    engine: Engine
    redis: "Redis"
    worker: str
    settle_seconds: float
    wake_senders: Callable[[], object]
    has_unsettled: bool = False  # something waits for a delivery that is about to be stored, or for a lock
    _name_ids: dict[str, int] = field(default_factory=dict)
    _cursors: dict[str, int] = field(default_factory=dict)  # target → the lane that was looked at last

    def paused(self, names: Sequence[str]) -> set[str]:
        """Return the targets that are paused."""
        with self.engine.begin() as connection:
            return {name for (name,) in Prepared(connection).rows(sql.PAUSED, list(names))}

    def unknown(self, targets: Sequence[Target]) -> list[str]:
        """Return what jobs in lanes of targets were stored for, where no target here has such lanes."""
        self._find_names(targets)
        with self.engine.begin() as connection:
            rows = Prepared(connection).rows(sql.UNKNOWN, list(self._name_ids.values()))
        return sorted({handler for (handler,) in rows if handler is not None})

    def take(self, rooms: Mapping[str, int], targets: Mapping[str, Target]) -> list[TargetAttempt]:
        """Begin jobs, as many of each target as there is room for.

        1. read the first job of each lane;
        2. ask Redis which delivery is about to be stored: what was accepted after it waits a moment;
        3. begin the rest, in a commit.
        """
        self._find_names([targets[name] for name in rooms])
        self.has_unsettled = False
        taken: list[TargetAttempt] = []
        for name, room in rooms.items():
            if targets[name].lane_name in self._name_ids:
                taken += self._take(targets[name], room)
        return taken

    def is_current(self, attempt: TargetAttempt) -> bool:
        """Whether an attempt is its job's current one still; then nobody else posts its event."""
        with self.engine.begin() as connection:
            known = Prepared(connection).rows(sql.IS_CURRENT, attempt.job_id, attempt.number, self.worker)
        return bool(known[0][0])

    def record(self, results: Sequence[TargetResult]) -> list[TargetResult]:
        """Write down what became of attempts; return those that counted, with what became of them.

        An attempt that is not the job's current one any more changes nothing. Answers with replies are a transaction
        each: the replies and the outcome are committed together. What Postgres refuses holds nothing else up.
        """
        recorded: list[TargetResult] = []
        plain: list[TargetResult] = []
        for result in results:
            if result.decision.next == "done" and result.replies:
                recorded += self._record_with_replies(result)
            else:
                plain.append(result)
        return recorded + (self._record_together(plain) if plain else [])

    def _find_names(self, targets: Sequence[Target]) -> None:
        missing = sorted({target.lane_name for target in targets} - self._name_ids.keys())
        if missing:  # until the first event that a target is to have
            with self.engine.begin() as connection:
                self._name_ids |= dict(Prepared(connection).rows(sql.NAMES, missing))

    def _take(self, target: Target, room: int) -> list[TargetAttempt]:
        lease = target.timeout_seconds + LEASE_MARGIN_SECONDS
        cursor = self._cursors.get(target.name, 0)
        with self.engine.begin() as connection:
            joins = () if target.join is None else (target.join,)
            rows = Prepared(connection).rows(
                sql.HEADS_OF_BURSTS if joins else sql.HEADS, self._name_ids[target.lane_name], target.handler_name,
                cursor, LANES_LOOKED_AT, room, lease, self.settle_seconds, *joins,
            )  # fmt: skip
        heads = [TargetHead(*row[2:]) for row in rows if row[2] is not None]
        self._cursors[target.name] = _next_cursor(rows[0], heads, room)
        if not heads and cursor:
            return self._take(target, room)  # from the first lane on
        settled = self._settled(heads)
        self.has_unsettled |= len(settled) < len(heads)
        if not settled:
            return []
        with self.engine.begin() as connection:
            return self._begin(Prepared(connection), target, settled, lease)

    def _begin(
        self, prepared: Prepared, target: Target, heads: Sequence[TargetHead], lease: float
    ) -> list[TargetAttempt]:
        """Begin jobs; of a target that joins, with the bursts that are fixed by that."""
        lanes = {lane for (lane,) in prepared.rows(sql.LOCK_LANES, sorted({head.lane for head in heads}))}
        self.has_unsettled |= any(head.lane not in lanes for head in heads)  # somebody is at it just now
        heads = [head for head in heads if head.lane in lanes]
        if target.join is not None:
            gathering = [head.id for head in heads if head.gathers]
            complete = (
                {id_ for (id_,) in prepared.rows(sql.JOIN, gathering, target.join)} if gathering else set()
            )
            heads = [head for head in heads if head.id in complete or not head.gathers]
        ids, counted = [head.id for head in heads], [head.attempts for head in heads]
        begun = prepared.rows(sql.BEGIN, ids, counted, self.worker, lease, sorted(lanes))
        numbers = {id_: (number, late) for id_, number, late in begun}
        attempts = [head.attempt(target, *numbers[head.id]) for head in heads if head.id in numbers]
        if target.join is None:
            return attempts
        return [replace(each, burst=bursts.events_of(prepared, each.job_id)) for each in attempts]

    def _settled(self, heads: Sequence[TargetHead]) -> list[TargetHead]:
        """Leave out what a delivery that was accepted earlier, and is not in the tables yet, may come before."""
        if not any(head.fresh for head in heads):
            return list(heads)
        try:
            arguments = [int(self.settle_seconds * 1000)]
            awaited = script(self.redis, __package__, "awaited")(
                keys=[JOURNAL_INDEX], args=arguments
            ).decode()
        except RedisError as error:
            log.warning("forwarder.journal_not_reached", error=type(error).__name__)
            return [head for head in heads if not head.fresh]
        return [head for head in heads if not head.fresh or not awaited or head.delivery_id <= awaited]

    def _record_with_replies(self, result: TargetResult) -> list[TargetResult]:
        attempt = result.attempt
        try:
            with self.engine.begin() as connection:
                recorded = self._record_plain(connection, [result])
                if not recorded:
                    return []
                ctx = Context(
                    connection, attempt.since_retry, attempt.events[-1], attempt.target.handler_name,
                    replayed=attempt.replay_id is not None,
                )  # fmt: skip
                replies.write(ctx, list(result.replies))
                if attempt.event.conversation is not None:
                    outbox.follow_merge(
                        connection, attempt.lane, attempt.event.id, attempt.event.conversation
                    )
        except Permanent as error:
            return self._record_refused(result, str(error))
        except REFUSALS as error:
            if not is_items_fault(error):
                raise
            return self._record_refused(result, f"replies that Postgres refused: {type(error).__name__}")
        try:
            self.wake_senders()
        except RedisError as error:  # a sweep wakes them within a second
            log.warning("outbox.not_woken", error=type(error).__name__)
        return recorded

    def _record_together(self, results: Sequence[TargetResult]) -> list[TargetResult]:
        """Record in one commit; one by one where Postgres refuses what is in one of them.

        A result that it refuses alone is logged and lost: its attempt has no end, and is made again after its lease.
        """
        try:
            with self.engine.begin() as connection:
                return self._record_plain(connection, results)
        except REFUSALS as error:
            if not is_items_fault(error):
                raise
            if len(results) > 1:
                return [each for result in results for each in self._record_together([result])]
            attempt = results[0].attempt
            log.error("target.result_refused", job_id=attempt.job_id, error=type(error).__name__)
            return []

    def _record_refused(self, result: TargetResult, error: str) -> list[TargetResult]:
        """Record instead that what the target answered cannot be sent."""
        decision = TargetDecision("dead", error, failed=False)
        return self.record([TargetResult(result.attempt, decision, result.answer, seconds=result.seconds)])

    def _record_plain(self, connection: Connection, results: Sequence[TargetResult]) -> list[TargetResult]:
        prepared = Prepared(connection)
        known: set[int] = set()
        for result in results:
            if result.decision.next == "done" and len(result.attempt.events) > 1:
                bursts.finish_members(prepared, result.attempt.job_id, result.attempt.number)
        for statement, outcomes in (
            (sql.FINISH, ("done",)),
            (sql.FAIL, ("again", "stop")),
            (sql.DIE, ("dead",)),
        ):
            chosen = [result for result in results if result.decision.next in outcomes]
            if chosen:
                ids = sorted(result.attempt.job_id for result in chosen)
                rows = prepared.rows(statement, ids, recordset([_row(result) for result in chosen]))
                known |= {id_ for (id_,) in rows}
        return [result for result in results if result.attempt.job_id in known]


def _next_cursor(row: tuple[Any, ...], heads: Sequence[TargetHead], room: int) -> int:
    """Return the lane behind which to look next; 0 begins anew."""
    last, seen = row[:2]
    if len(heads) >= room:
        return heads[-1].lane
    return int(last) if seen >= LANES_LOOKED_AT else 0


def _row(result: TargetResult) -> dict[str, Any]:
    decision = result.decision
    return {
        "id": result.attempt.job_id,
        "attempt": result.attempt.number,
        "answer": result.answer,
        "error": _storable(decision.error or "")[:ERROR_LENGTH],
        "after_seconds": decision.after_seconds,
        "costs": int(decision.costs_nothing),
    }


def _storable(words: str) -> str:
    """Replace what Postgres text cannot hold and an error may quote: NUL and lone surrogates."""
    return words.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
