"""Delete what is stored of a person, and keep digests by which Meta's repeats are known."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from redis import Redis
from sqlalchemy import Connection, Engine, text

from app.erasure import media, redis_traces
from app.erasure import statements as sql
from app.erasure.person import ErasedPerson, ErasureError
from app.erasure.redaction import redact
from app.erasure.traces import Traces, digest
from app.handlers import MEDIA_TYPES, erase_hooks
from app.stores import chunks, job_claim
from config.logging import get_logger

EVENTS_A_PART = 500
WAIT_SECONDS = 30.0  # for what is being run, sent or split
LOOK_SECONDS = 0.25
# Of keys whose second part is a message's id: what else is known by that id is about the same message
ABOUT_A_MESSAGE = ("message", "status", "echo", "call", "automatic_events")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """What is, or would be, deleted."""

    conversations: int
    events: int
    unfinished_jobs: int  # of the events: they will never run
    sends: int
    files: int = 0
    redacted: int = 0  # rows about others, of which the names were taken out
    messages: int = 0  # in Redis


def count(engine: Engine, person: ErasedPerson) -> Erased:
    """Return what an erasure would delete; what it would take out of other rows is not counted."""
    with patient(engine) as connection:
        parameters = _parameters(connection, person)
        return Erased(
            conversations=len(person.conversations),
            events=len(parameters["events"]),
            unfinished_jobs=int(connection.execute(sql.UNFINISHED, parameters).scalar_one()),
            sends=int(connection.execute(sql.REPLIES, parameters).scalar_one()),
        )


def erase(engine: Engine, redis: "Redis", person: ErasedPerson, who: str, reason: str | None) -> Erased:
    """Erase a person; ErasureError, with nothing changed, while something of theirs is being run, sent or split.

    1. wait for that, for WAIT_SECONDS at most;
    2. commit who asked;
    3. delete what is stored of them (``_delete_stored``);
    4. commit what handlers delete (``@on_erase``), that other rows name them no more, that their conversations have no
       names, and that it is finished;
    5. delete what was stored in their conversations since 3.

    Dying before the commit of 4 leaves the names by which it is run again, dying before the end of 5 events in
    conversations without a name, which belong to whoever is erased next. So does an ingest that had read a name
    before 4 and commits after 5; the look that follows finds it.
    """
    _wait(engine, redis, person)
    with engine.begin() as connection:
        names = {"who": who, "reason": reason, "chosen_by": person.chosen_by}
        id_ = int(connection.execute(sql.BEGIN, names).scalar_one())
    log.info("person.erasure_began", erasure_id=id_, who=who)
    first = _delete_stored(engine, redis, person, id_)
    with patient(engine) as connection:
        traces = load_traces(connection, person)
        connection.execute(sql.DELETE_PARTICIPANTS, {"names": list(person.names)})
        parameters = {"conversations": list(person.conversations)}
        connection.execute(sql.DELETE_NAMES, parameters)
        connection.execute(sql.UNNAME, parameters)
        erase_hooks.run(connection, person.names)
        redacted = redact(connection, traces)
        connection.execute(sql.FINISH, {"id": id_})
    late = _delete_stored(engine, redis, person, id_)
    erased = replace(
        first,
        events=first.events + late.events,
        unfinished_jobs=first.unfinished_jobs + late.unfinished_jobs,
        sends=first.sends + late.sends,
        files=first.files + late.files,
        messages=first.messages + late.messages,
        redacted=redacted,
    )
    log.info(
        "person.erased",
        erasure_id=id_,
        who=who,
        events=erased.events,
        replies=erased.sends,
        files=erased.files,
    )
    return erased


def _delete_stored(engine: Engine, redis: "Redis", person: ErasedPerson, id_: int) -> Erased:
    """Delete what is stored of a person now, and count it with the erasure.

    1. of each part of their events: delete the files, then commit the digests of the keys and that all rows are gone;
    2. commit that their replies are gone, with the digests of their ids, and what their conversations keep;
    3. delete what Redis has of them.
    """
    files = events = unfinished = 0
    with patient(engine) as connection:
        found = _parameters(connection, person)["events"]
    for part in chunks(found, EVENTS_A_PART):
        with patient(engine) as connection:
            deleted, deleted_files = _delete_events(connection, person, part)
            connection.execute(sql.COUNT, {"id": id_, **deleted, "sends": 0})
        files += deleted_files
        events += deleted["events"]
        unfinished += deleted["unfinished_jobs"]
    with patient(engine) as connection:
        sends = _delete_sends(connection, person, found)
        connection.execute(sql.COUNT, {"id": id_, "events": 0, "unfinished_jobs": 0, "sends": sends})
        parameters = {"conversations": list(person.conversations)}
        connection.execute(sql.DELETE_DIALOGS, parameters)
        connection.execute(sql.CLEAR_PAUSES, parameters)
        traces = load_traces(connection, person)
    messages = redis_traces.remove(redis, traces)
    return Erased(len(person.conversations), events, unfinished, sends, files, messages=messages)


def load_traces(connection: Connection, person: ErasedPerson) -> Traces:
    """Return what to look for, with the digests that are kept now."""
    digests = connection.execute(text("SELECT digest FROM erased_keys")).scalars()
    return Traces(person, frozenset(digests))


@contextmanager
def patient(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction whose statements may take as long as it takes to read whole tables."""
    with engine.begin() as connection:
        driver = cast(Any, connection.connection.driver_connection)
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        driver.max_wait_seconds = None
        try:
            yield connection
        finally:
            del driver.max_wait_seconds  # its kind's own limit again


def _parameters(connection: Connection, person: ErasedPerson) -> dict[str, Any]:
    given = {
        "conversations": list(person.conversations),
        "pattern": person.pattern,
        "names": list(person.names),
    }
    return {**given, "events": list(connection.execute(sql.EVENTS, given).scalars())}


def _wait(engine: Engine, redis: "Redis", person: ErasedPerson) -> None:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while obstacle := _obstacle(engine, redis, person):
        if time.monotonic() > give_up_at:
            raise ErasureError(f"{obstacle}. Nothing was changed")
        time.sleep(LOOK_SECONDS)


def _obstacle(engine: Engine, redis: "Redis", person: ErasedPerson) -> str | None:
    with patient(engine) as connection:
        if connection.execute(sql.NOT_CONTRACTED).scalar_one():
            raise ErasureError(
                "the tables of the release before name people too: run `neverdrop migrate --contract`"
            )
        parameters = _parameters(connection, person)
        traces = load_traces(connection, person)
        running = connection.execute(sql.RUNNING, parameters).all()
        sending = int(connection.execute(sql.SENDING, parameters).scalar_one())
        waiting = int(connection.execute(sql.NOT_SPLIT, parameters).scalar_one())
    waiting += redis_traces.num_in_journal(redis, traces)
    for job in running:  # one whose worker died holds no claim, and is deleted with the rest
        if redis.exists(job_claim(job.id)):
            return f"job {job.id} of theirs is being run by {job.worker}: wait until it has ended, then run this again"
    if sending:
        return f"{sending} replies to them are being sent: wait a minute, then run this again"
    if waiting:
        return f"{waiting} deliveries of theirs are accepted and not split yet: let ingest run, then run this again"
    return None


def _delete_events(
    connection: Connection, person: ErasedPerson, events: Sequence[int]
) -> tuple[dict[str, int], int]:
    parameters = {"events": list(events)}
    connection.execute(sql.LOCK_JOBS, parameters)
    found = connection.execute(sql.CONTENT, parameters).all()
    files = media.delete_files(
        connection, (row.payload for row in found if row.type in MEDIA_TYPES), person.conversations
    )
    keys = [row.key for row in found]
    digests = sorted({digest(each) for key in keys for each in _known_by(key)})
    connection.execute(sql.KEEP_DIGESTS, {"digests": digests})
    ids = [key.split(":")[1] for key in keys if _is_about_a_message(key)]
    deleted = connection.execute(sql.DELETE_EVENTS, {**parameters, "keys": keys, "message_ids": ids}).one()
    return {"events": deleted.events, "unfinished_jobs": deleted.unfinished_jobs}, files


def _delete_sends(connection: Connection, person: ErasedPerson, events: Sequence[int]) -> int:
    parameters = {"events": list(events), "names": list(person.names)}
    ids = connection.execute(sql.MESSAGE_IDS, parameters).scalars().all()
    connection.execute(sql.KEEP_DIGESTS, {"digests": sorted({digest(id_) for id_ in ids})})
    return int(connection.execute(sql.DELETE_SENDS, parameters).scalar_one())


def _known_by(key: str) -> Iterator[str]:
    """Yield what a repeat of an event is known by: its key without the time of a state that came back, its message."""
    head, at, seconds = key.rpartition("@")
    yield head if at and seconds.isdecimal() else key
    if _is_about_a_message(key):
        yield key.split(":")[1]


def _is_about_a_message(key: str) -> bool:
    parts = key.split(":")
    return len(parts) > 1 and parts[0].rpartition(".")[2] in ABOUT_A_MESSAGE and not parts[1].startswith("~")
