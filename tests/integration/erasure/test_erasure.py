"""A person is erased: nothing names them in either store, others lose nothing, and repeats are known."""

import json
import operator
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import erasure
from app.broker.quarantine import quarantine
from app.dead_letters import reconcile
from app.erasure import ErasedPerson, ErasureError
from app.erasure import erasure as erasing
from app.handlers import Context, Event
from app.handlers.erasing import EraseHooks
from app.handlers.options import HandlerError
from app.stores import job_claim
from tests.helpers import factories as f
from tests.helpers.core import Core, Killed, text_body

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)

ADA, BOB = 1, 2
CARD = {
    "contacts": [
        {"name": {"formatted_name": "Ada"}, "phones": [{"phone": f"+{f.phone(ADA)}", "wa_id": f.phone(ADA)}]}
    ]
}


def person(core: Core, user: int = ADA) -> ErasedPerson:
    with core.engine.connect() as connection:
        return erasure.find(connection, "phone", f.phone(user))


def erase(core: Core, user: int = ADA) -> tuple[Any, list[Any]]:
    whom = person(core, user)
    erased = erasure.erase(core.engine, core.redis, whom, "grace", "ticket 7")
    return erased, erasure.look(core.engine, core.redis, whom)


def everything(core: Core) -> str:
    """All that both stores hold, as text."""
    parts: list[str] = []
    with core.engine.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).scalars()
        for table in tables.all():
            parts += connection.exec_driver_sql(f"SELECT t::text FROM {table} t").scalars()
    for key in core.redis.scan_iter(match="*"):
        kind = core.redis.type(key)
        reader = {
            b"string": core.redis.get, b"hash": core.redis.hgetall,
            b"list": lambda key: core.redis.lrange(key, 0, -1), b"zset": lambda key: core.redis.zrange(key, 0, -1),
            b"set": core.redis.smembers,
        }[kind]  # fmt: skip
        parts.append(f"{key!r} {reader(key)!r}")
    return "\n".join(parts)


@pytest.fixture
def history(core: Core) -> Core:
    """What a person leaves in a deployment, in every table, and others beside her."""
    core.on("message", "text", reply, max_attempts=1)
    core.ingest(text_body("hello", "boom", sender=ADA), text_body("from bob", "boom of bob", sender=BOB))
    core.ingest(f.body(f.statuses(f.status("read", number=9, recipient=ADA))))
    core.ingest(f.body(f.messages(f.message("contacts", number="card", sender=BOB, **CARD))))
    core.ingest(
        f.body(f.statuses(f.group_status("read", ADA, number=11), f.group_status("read", BOB, number=11)))
    )
    core.ingest(f.body(f.user_preferences(f.preference(user=ADA))))
    core.ingest(b'{"object": "whatsapp_business_account", "entry": "' + f.phone(ADA).encode() + b'"}')
    core.run()
    core.execute(
        "INSERT INTO dialogs (lane, changed_at, state) VALUES (:lane, now(), :state)",
        lane=core.event("hello").lane,
        state='{"address": "what she typed"}',
    )
    return core


def reply(event: Event, ctx: Context) -> None:
    if "boom" in (event.text or ""):
        raise ValueError(f"no answer for {event.sender}")
    ctx.reply(f"hello {event.sender}")


NAMES = (f.phone(ADA), f.user_id(ADA), f.wamid("hello"), f.wamid("boom"))


def test_nothing_names_her_afterwards(history: Core) -> None:
    assert all(name in everything(history) for name in NAMES)
    erased, left = erase(history)
    assert left == []
    found = everything(history)
    assert [name for name in NAMES if name in found] == []
    assert "what she typed" not in found
    assert (erased.unfinished_jobs, erased.sends) == (0, 1)


def test_others_lose_nothing_but_her_number(history: Core) -> None:
    erase(history)
    found = everything(history)
    assert f.phone(BOB) in found
    assert f.wamid("from bob") in found
    (card,) = history.rows("SELECT payload FROM events WHERE key = :key", key=f"message:{f.wamid('card')}")
    assert json.loads(card.payload)["item"]["contacts"][0]["phones"] == [{"phone": "+0", "wa_id": "0"}]
    states = history.states()
    assert states["dead"] == 1  # Bob's
    reconcile(history.engine, history.redis)


def test_what_meta_repeats_of_her_is_known_and_is_not_stored_again(history: Core) -> None:
    bodies = [
        text_body("hello", "boom", sender=ADA),
        f.body(f.statuses(f.status("read", number=9, recipient=ADA))),
        f.body(f.statuses(f.group_status("read", ADA, number=11))),
        f.body(f.messages(f.message("contacts", number="card", sender=BOB, **CARD))),
        f.body(f.user_preferences(f.preference(user=ADA))),
        b'{"object": "whatsapp_business_account", "entry": "' + f.phone(ADA).encode() + b'"}',
    ]
    erase(history)
    before = history.rows("SELECT count(*) AS events FROM events")
    for body in bodies:
        ingested = history.ingest(body)
        assert all(row.id is None for row in ingested.rows)
    assert history.rows("SELECT count(*) AS events FROM events") == before
    assert erasure.look(history.engine, history.redis, person(history)) == []


def test_a_later_status_of_a_message_to_her_is_not_stored(history: Core) -> None:
    erase(history)
    history.ingest(f.body(f.statuses(f.status("played", number=9, recipient=ADA))))
    assert erasure.look(history.engine, history.redis, person(history)) == []


def test_a_new_message_of_hers_begins_a_new_conversation(history: Core) -> None:
    old = history.event("hello").lane
    erase(history)
    history.ingest(text_body("I am back", sender=ADA))
    assert history.event("I am back").lane != old


def test_a_body_of_several_people_keeps_the_others(history: Core) -> None:
    mixed = f.body(
        f.messages(
            f.text_message("hello", number="hello", sender=ADA), f.text_message("new", number="new", sender=3)
        )
    )
    erase(history)
    history.ingest(mixed)
    assert history.event("new").type == "text"
    assert erasure.look(history.engine, history.redis, person(history)) == []


def test_who_asked_and_when_is_kept_without_her_name(history: Core) -> None:
    erase(history)
    (row,) = history.rows("SELECT who, reason, chosen_by, finished_at, events FROM erasures")
    assert (row.who, row.reason, row.chosen_by) == ("grace", "ticket 7", "phone")
    assert row.finished_at is not None
    assert row.events > 0


def test_a_message_in_quarantine_and_one_that_a_worker_holds_are_deleted(history: Core) -> None:
    (id_,) = history.accept(text_body("waiting", sender=ADA))
    message = history.redis.lindex("webhooks", 0)
    quarantine("webhooks", message, ValueError("another release's"))
    history.redis.hset("unacked", "tag", json.dumps([json.loads(message), "", "webhooks"]))
    history.redis.zadd("unacked_index", {"tag": 1})
    history.ingest_as((id_, text_body("waiting", sender=ADA)))
    erased, left = erase(history)
    assert left == []
    assert erased.messages == 3
    assert history.redis.zcard("unacked_index") == 0


# What is under way


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "WAIT_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_what_is_accepted_and_not_split_is_waited_for(history: Core) -> None:
    history.accept(text_body("waiting", sender=ADA))
    with pytest.raises(ErasureError, match="1 deliveries of theirs are accepted and not split yet"):
        erase(history)
    assert f.phone(ADA) in everything(history)
    history.ingest_waiting()
    assert erase(history)[1] == []


@pytest.mark.usefixtures("impatient")
def test_what_is_being_run_is_waited_for(history: Core) -> None:
    history.ingest(text_body("running", sender=ADA))
    job = history.event("running").id
    history.execute("UPDATE jobs SET begun_at = now(), worker = 'w1' WHERE id = :id", id=job)
    history.redis.set(job_claim(job), "token")
    with pytest.raises(ErasureError, match=f"job {job} of theirs is being run by w1"):
        erase(history)
    history.redis.delete(job_claim(job))  # its worker died
    erased, left = erase(history)
    assert (erased.unfinished_jobs, left) == (1, [])


@pytest.mark.usefixtures("impatient")
def test_a_reply_that_is_being_sent_is_waited_for(history: Core) -> None:
    history.execute("UPDATE sends SET state = 'sending'")
    with pytest.raises(ErasureError, match="replies to them are being sent"):
        erase(history)


@pytest.mark.parametrize("step", ["_delete_events", "_delete_sends", "redact", "redis_traces.remove"])
def test_one_that_was_killed_half_way_is_run_again(
    history: Core, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"app.erasure.erasure.{step}", killed)
        with pytest.raises(Killed):
            erase(history)
    assert erase(history)[1] == []
    found = everything(history)
    assert [name for name in NAMES if name in found] == []


LATE = "what she wrote meanwhile"


@pytest.mark.parametrize("step", ["_delete_events", "_delete_sends", "redis_traces.remove", "redact"])
def test_what_she_writes_meanwhile_is_deleted_too(
    history: Core, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real: Callable[..., Any] = operator.attrgetter(step)(erasing)

    def and_meanwhile(*args: Any) -> Any:
        monkeypatch.undo()
        history.ingest(text_body(LATE, sender=ADA))
        return real(*args)

    monkeypatch.setattr(f"app.erasure.erasure.{step}", and_meanwhile)
    assert erase(history)[1] == []
    assert LATE not in everything(history)


def test_what_an_ingest_stores_that_knew_her_name_before_is_found_and_deleted(
    history: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known,) = person(history).conversations
    erase(history)
    with monkeypatch.context() as patch:
        patch.setattr("app.ingest.store.conversations.resolve", lambda *_: [known])
        history.ingest(text_body(LATE, sender=ADA))
    whom = person(history)
    assert erasure.look(history.engine, history.redis, whom)
    assert erase(history)[1] == []
    assert LATE not in everything(history)


# Whom


@pytest.mark.parametrize("name", ["", "123", "5550002222x", "+"])
def test_a_phone_number_must_be_one(core: Core, name: str) -> None:
    with core.engine.connect() as connection, pytest.raises(ErasureError, match="7 to 17 digits"):
        erasure.find(connection, "phone", name)


def test_a_longer_number_with_hers_inside_is_another_persons(core: Core) -> None:
    other = f"{f.phone(ADA)}9"
    core.ingest(
        text_body("hers", sender=ADA),
        f.body(f.messages(f.message("text", number="his", text={"body": other}, sender=BOB))),
    )
    erase(core)
    assert other in everything(core)


def test_by_user_id_it_is_the_same_person(history: Core) -> None:
    with history.engine.connect() as connection:
        by_user = erasure.find(connection, "user", f.user_id(ADA))
    assert by_user.names == person(history).names
    assert by_user.conversations == person(history).conversations


def test_what_is_on_erase_deletes_its_own_rows_in_the_same_transaction(
    history: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.execute("CREATE TABLE notes (id int, words text)")
    history.execute("INSERT INTO notes VALUES (1, :words)", words=f"call {f.phone(ADA)}")
    hooks = EraseHooks()
    monkeypatch.setattr("app.erasure.erasure.erase_hooks", hooks)

    def fails(_names: frozenset[str], _session: Session) -> None:
        raise ValueError("away")

    def deletes(names: frozenset[str], session: Session) -> None:
        for name in names:
            session.execute(text("DELETE FROM notes WHERE words LIKE '%' || :name"), {"name": name})

    hooks.add(deletes)
    hooks.add(fails)
    with pytest.raises(HandlerError, match=r"fails of @on_erase failed: ValueError: away"):
        erase(history)
    assert history.value("SELECT count(*) FROM notes") == 1
    hooks = EraseHooks()
    monkeypatch.setattr("app.erasure.erasure.erase_hooks", hooks)
    hooks.add(deletes)
    assert erase(history)[1] == []
    history.execute("DROP TABLE notes")


def test_a_function_that_cannot_erase_is_refused() -> None:
    with pytest.raises(HandlerError, match="takes \\(names, session\\)"):
        EraseHooks().add(lambda: None)  # type: ignore[arg-type,misc]


def test_a_table_of_handlers_that_names_her_is_named(history: Core) -> None:
    history.execute("CREATE TABLE notes (id int, words text)")
    history.execute("INSERT INTO notes VALUES (1, :words)", words=f"call {f.phone(ADA)}")
    _, left = erase(history)
    assert [(place.name, place.rows, place.ours) for place in left] == [("notes.words", 1, False)]
    history.execute("DROP TABLE notes")
