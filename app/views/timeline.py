"""What became of a message: received, stored, each attempt with its error, its outcome, and what people decided."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from redis import Redis
from sqlalchemy import Connection, text

from app.payload import message_key_ranges
from app.stores import JOURNAL, MAX_ID, accepted_at

JOURNAL_PAGE = 500
MAX_EVENTS = 1000  # of one delivery: Meta sends no more in a body

EVENTS = """
SELECT e.id, e.event_id, root_lane(e.lane) AS lane,
e.key, e.kind, e.type, e.state::text AS state, e.late, e.handler, e.attempts, e.due_at,
e.error,
       (SELECT name FROM lane_names n WHERE n.id = e.lane_name_id) AS lane_name, e.replay_id,
       e.occurred_at, e.finished_at, e.begun_at, e.delivery_id, e.payload, c.key AS conversation,
       d.accepted_at, d.ingested_at, d.door::text AS door
FROM event_jobs e
LEFT JOIN conversations c ON c.id = e.conversation_id
LEFT JOIN deliveries d ON d.id = e.delivery_id
"""
ORDER = f" ORDER BY e.occurred_at, e.delivery_id, e.position, e.id LIMIT {MAX_EVENTS}"
# The number of an event, or of any of its jobs
OF_NUMBER = """
WHERE e.event_id = coalesce((SELECT event_id FROM jobs WHERE id = :id),
                            (SELECT event_id FROM outcomes WHERE id = :id), :id)
"""
BY_ID = text(EVENTS + OF_NUMBER + ORDER)
BY_DELIVERY = text(EVENTS + "WHERE e.delivery_id = :id" + ORDER)
# One range of the unique index for each beginning; an OR of them would read the whole table
OF_KEYS = """
WHERE e.event_id IN (
  SELECT m.id FROM unnest(CAST(:keys AS text[])) AS k CROSS JOIN LATERAL (
    SELECT id FROM events WHERE key = k
    UNION ALL SELECT id FROM events WHERE key >= k || ':' AND key < k || ';'
  ) AS m
)
"""
BY_KEYS = text(EVENTS + OF_KEYS + ORDER)
ATTEMPTS = text("SELECT * FROM job_attempts WHERE job_id = ANY(:ids) ORDER BY job_id, number")
ACTIONS = text("SELECT * FROM dead_letter_actions WHERE job_id = ANY(:ids) ORDER BY id")
SENDS = text("""
SELECT event_id, handler, id, step, created_at, accepted_at, finished_at, state::text AS state,
       status::text AS status, unsure, error
FROM sends WHERE event_id = ANY(:ids) ORDER BY id
""")
TRIES = text("""
SELECT s.event_id, s.handler, s.step, a.number, a.at, a.answer FROM sends s JOIN send_attempts a ON a.send_id = s.id
WHERE s.event_id = ANY(:ids) ORDER BY a.at
""")
OF_MESSAGE = text("SELECT event_id FROM sends WHERE message_id = :id")
# Of the last turn alone: the table keeps no other
TURNS = text("""
SELECT turned_by AS job_id, changed_at AS at, expects, due_at FROM dialogs
WHERE turned_by = ANY(:ids) AND expects IS NOT NULL AND lane = ANY(:lanes)
""")
PAUSES = text("""
SELECT coalesce(merged_into, id) AS lane, paused_at, paused_by, paused_until, paused_why FROM lanes
WHERE paused_at IS NOT NULL AND (id = ANY(:lanes) OR merged_into = ANY(:lanes))
""")
# The burst that each job was run in, or is
BURSTS = text("""
SELECT mine.job_id, string_agg(CAST(m.job_id AS text), ', ' ORDER BY m.job_id) AS jobs, count(*) AS messages
FROM joined_jobs mine JOIN joined_jobs m ON m.leader = mine.leader
WHERE mine.job_id = ANY(:ids) GROUP BY mine.job_id
""")
CHANGED = text("""
SELECT event_id, accepted_at, delivery_id, payload FROM changed_duplicates
WHERE event_id = ANY(:ids) ORDER BY event_id, accepted_at
""")
STATUSES = text("SELECT * FROM message_statuses WHERE message_id = :id ORDER BY participant")


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened to an event, or to a job of it."""

    at: datetime
    what: str  # received, stored, changed, attempt, expects, paused, joined, an action, or the outcome
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One job of an event and what happened to it, oldest first."""

    id: int
    event_id: int
    key: str
    kind: str
    type: str
    conversation: str | None
    lane_name: str
    handler: str | None
    replay_id: int | None
    state: str
    late: bool
    error: str | None
    due_at: datetime | None
    payload: str
    moments: list[TimelineEntry]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find_timelines(connection: Connection, identifier: str) -> list[Timeline]:
    """The timelines behind the number of an event or job, a delivery's id or a message's id (wamid); [] if none is
    known."""
    rows = _events(connection, identifier.strip())
    if (
        identifier.startswith("wamid.")
        and identifier.isascii()
        and not any(row["kind"] == "message" for row in rows)
    ):
        sent_for = connection.execute(OF_MESSAGE, {"id": identifier.strip()}).scalar()
        if sent_for is not None:  # a message of ours: the story begins with what it answered
            rows = [*connection.execute(BY_ID, {"id": sent_for}).mappings(), *rows]
    ids = [row["id"] for row in rows]
    attempts = connection.execute(ATTEMPTS, {"ids": ids}).mappings().all()
    actions = connection.execute(ACTIONS, {"ids": ids}).mappings().all()
    event_ids = [row["event_id"] for row in rows]
    changed = connection.execute(CHANGED, {"ids": event_ids}).mappings().all()
    sends = connection.execute(SENDS, {"ids": event_ids}).mappings().all()
    tries = connection.execute(TRIES, {"ids": event_ids}).mappings().all()
    lanes = [row["lane"] for row in rows]
    turns = connection.execute(TURNS, {"ids": ids, "lanes": lanes}).mappings().all()
    bursts = {row.job_id: row for row in connection.execute(BURSTS, {"ids": ids})}
    pauses = connection.execute(PAUSES, {"lanes": lanes}).mappings().all()
    return [
        _timeline(
            row,
            [attempt for attempt in attempts if attempt["job_id"] == row["id"]],
            [action for action in actions if action["job_id"] == row["id"]],
            [duplicate for duplicate in changed if duplicate["event_id"] == row["event_id"]],
            [
                *(moment for send in sends if _is_of(send, row) for moment in _send(send)),
                *(_try(each) for each in tries if _is_of(each, row)),
                *(_turn(turn) for turn in turns if turn["job_id"] == row["id"]),
                *(_pause(pause) for pause in pauses if _waits_in(pause, row)),
                *_burst(bursts.get(row["id"]), row),
            ],
        )
        for row in rows
    ]


def statuses_of(connection: Connection, message_id: str) -> list[dict[str, Any]]:
    """A message that we sent: its furthest status and the time of each, per participant."""
    return [dict(row) for row in connection.execute(STATUSES, {"id": message_id}).mappings()]


def in_journal(redis: "Redis", identifier: str) -> list[tuple[str, datetime]]:
    """Deliveries in the journal that have this id or contain it: received, not yet in the tables."""
    needle = identifier.strip().encode()
    escaped = needle.replace(b"/", b"\\/")  # as Meta writes it
    found = [
        id_.decode()
        for id_, body in redis.hscan_iter(JOURNAL, count=JOURNAL_PAGE)
        if id_ == needle or needle in body or escaped in body
    ]
    return sorted((id_, accepted_at(id_)) for id_ in found)


def _events(connection: Connection, identifier: str) -> Sequence[Any]:
    if identifier.isdecimal() and identifier.isascii() and int(identifier) <= MAX_ID:
        found = connection.execute(BY_ID, {"id": int(identifier)}).mappings().all()
        if found:
            return found
    elif (delivery_id := _uuid(identifier)) is not None:
        return connection.execute(BY_DELIVERY, {"id": delivery_id}).mappings().all()
    return connection.execute(BY_KEYS, {"keys": message_key_ranges(identifier)}).mappings().all()


def _uuid(identifier: str) -> UUID | None:
    try:
        return UUID(identifier)
    except ValueError:
        return None


def _timeline(
    row: Any,
    attempts: Sequence[Any],
    actions: Sequence[Any],
    changed: Sequence[Any],
    sends: Sequence[TimelineEntry],
) -> Timeline:
    moments = [
        TimelineEntry(
            row["accepted_at"], "received", {"delivery_id": str(row["delivery_id"]), "door": row["door"]}
        ),
        TimelineEntry(row["ingested_at"], "stored", {}),
        *(_attempt(attempt) for attempt in attempts),
        *(
            TimelineEntry(action["at"], action["action"], {"who": action["who"], "reason": action["reason"]})
            for action in actions
        ),
        *(_changed(duplicate) for duplicate in changed),
        *sends,
    ]
    if row["finished_at"] is not None:
        moments.append(TimelineEntry(row["finished_at"], row["state"], {}))
    names = ("id", "event_id", "key", "kind", "type", "conversation", "lane_name", "handler", "replay_id", "state",
             "late", "error", "due_at", "payload")  # fmt: skip
    ordered = sorted((moment for moment in moments if moment.at is not None), key=lambda moment: moment.at)
    return Timeline(**{name: row[name] for name in names}, moments=ordered)


def _is_of(send: Any, row: Any) -> bool:
    """Whether a send was written by the job's handler; a replay sends nothing again, so it has none of its own."""
    same = send["event_id"] == row["event_id"] and send["handler"] == row["handler"]
    return bool(same and row["replay_id"] is None)


def _attempt(attempt: Any) -> TimelineEntry:
    finished = attempt["finished_at"]
    detail = {
        "number": attempt["number"],
        "worker": attempt["worker"],
        "seconds": (finished - attempt["started_at"]).total_seconds() if finished else None,
        "error": attempt["error"],
        "traceback": attempt["traceback"],
        "answer": attempt["answer"],  # of a target
    }
    return TimelineEntry(attempt["started_at"], "attempt", detail)


def _send(send: Any) -> Iterator[TimelineEntry]:
    """What a handler sent: written, and where it stands now."""
    yield TimelineEntry(send["created_at"], "reply", {"step": send["step"]})
    stands_at = send["status"] or send["state"] if send["state"] == "accepted" else send["state"]
    detail = {"step": send["step"], "stands_at": stands_at, "error": send["error"]}
    if send["finished_at"] is not None or send["state"] == "unknown":
        yield TimelineEntry(send["finished_at"] or send["created_at"], "reply_is", detail)


def _try(attempt: Any) -> TimelineEntry:
    """One POST to Meta."""
    detail = {"step": attempt["step"], "number": attempt["number"], "answer": attempt["answer"]}
    return TimelineEntry(attempt["at"], "sent", detail)


def _turn(turn: Any) -> TimelineEntry:
    """The handler expects an answer, and nothing has come of it yet."""
    until = turn["due_at"].isoformat(timespec="seconds") if turn["due_at"] else None
    return TimelineEntry(turn["at"], "expects", {"answer": turn["expects"], "until": until})


def _burst(burst: Any, row: Any) -> Iterator[TimelineEntry]:
    """The job was run together with others, as one list: they have one outcome."""
    if burst is not None:
        at = row["begun_at"] or row["finished_at"] or row["ingested_at"]
        yield TimelineEntry(at, "joined", {"messages": burst.messages, "jobs": burst.jobs})


def _waits_in(pause: Any, row: Any) -> bool:
    return bool(pause["lane"] == row["lane"] and row["state"] == "pending")


def _pause(pause: Any) -> TimelineEntry:
    """The job waits because a person has taken over."""
    until = pause["paused_until"].isoformat(timespec="seconds") if pause["paused_until"] else None
    detail = {"who": pause["paused_by"], "until": until, "why": pause["paused_why"]}
    return TimelineEntry(pause["paused_at"], "paused", detail)


def _changed(duplicate: Any) -> TimelineEntry:
    """A repeat whose item differed."""
    detail = {"delivery_id": str(duplicate["delivery_id"]), "payload": duplicate["payload"]}
    return TimelineEntry(duplicate["accepted_at"], "changed", detail)
