"""What Postgres refuses and what cannot be read becomes a dead letter, and takes no neighbour down."""

import secrets
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app import dead_letters
from app.ingest import store as module
from app.payload.parse import ParsedBody, parse, unreadable_body
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body, text_item
from tests.integration.ingest.splitting import deliveries, journal, keys

pytestmark = pytest.mark.core(messages="noted")


# What Postgres refuses


def spoil(monkeypatch: pytest.MonkeyPatch, bad: str, **different: Any) -> None:
    """Let the body that holds ``bad`` be split into something that the code before us should have kept out."""

    def parse_badly(body: bytes) -> ParsedBody:
        parsed = parse(body)
        if bad.encode() not in body:
            return parsed
        return ParsedBody([replace(event, **different) for event in parsed.events])

    monkeypatch.setattr(module, "parse", parse_badly)


@pytest.mark.parametrize(
    "different",
    [
        {"payload": "a \x00 in it"},
        {"key": "half a pair \ud800"},
        {"index": 10**12},
        {"occurred_at": 10**18},
        {"key": secrets.token_hex(8_000)},  # more than an index holds
    ],
    ids=["a NUL", "a surrogate", "a number", "a time", "a length"],
)
def test_what_postgres_refuses_takes_no_neighbour_down(
    core: Core, monkeypatch: pytest.MonkeyPatch, different: dict[str, Any]
) -> None:
    with monkeypatch.context() as patch:
        spoil(patch, "spoilt", **different)
        core.accept(text_body("before"), text_body("spoilt"), text_body("after"))
        core.ingest_waiting()
    core.run()
    assert core.seen == ["before", "after"]
    assert deliveries(core) == [("split", 1, 0), ("unreadable", 1, 0), ("split", 1, 0)]
    assert journal(core) == (0, 0)
    (letter,) = core.rows("SELECT id, error FROM event_jobs WHERE state = 'dead'")
    assert letter.error.startswith("Postgres refused it: ")
    dead_letters.retry(core.engine, core.redis, core.registry, [letter.id], "ada")
    core.run()
    assert core.seen == ["before", "after", "spoilt"]


def test_a_body_that_takes_longer_than_the_statement_timeout_takes_no_neighbour_down(core: Core) -> None:
    core.execute("""
        CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.payload LIKE '%spoilt%' THEN
            RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
          END IF;
          RETURN NEW;
        END $$""")
    core.execute("CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION be_slow()")
    core.accept(text_body("before"), text_body("spoilt"), text_body("after"))
    core.ingest_waiting()
    core.run()
    assert core.seen == ["before", "after"]
    assert deliveries(core) == [("split", 1, 0), ("unreadable", 1, 0), ("split", 1, 0)]
    assert journal(core) == (0, 0)


def test_postgres_being_away_is_nobodys_fault(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    def go_away(*_: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("server closed the connection"))

    core.accept(text_body("a"))
    monkeypatch.setattr(module, "insert_events", go_away)
    with pytest.raises(OperationalError):
        core.ingest_as(*core.take_task())
    assert (journal(core), keys(core)) == ((1, 1), [])


UNREADABLE = b'{"object": "whatsapp_business_account", "entry": [\xff'


# What cannot be read


def test_a_body_that_cannot_be_read_is_one_dead_letter_and_keeps_its_body(core: Core) -> None:
    core.ingest(text_body("before"), UNREADABLE, text_body("after"))
    (letter,) = core.rows("SELECT * FROM event_jobs WHERE state = 'dead'")
    assert (letter.kind, letter.type, letter.handler) == ("other", "unreadable", None)
    assert core.value("SELECT body FROM deliveries WHERE state = 'unreadable'").tobytes() == UNREADABLE
    core.run()
    assert core.seen == ["before", "after"]


def test_a_body_that_was_split_is_not_kept(core: Core) -> None:
    core.ingest(text_body("a"))
    assert core.value("SELECT body FROM deliveries") is None


def test_the_same_unreadable_body_is_one_dead_letter_however_often_it_comes(core: Core) -> None:
    core.ingest(UNREADABLE)
    core.ingest(UNREADABLE, UNREADABLE)
    assert core.states() == {"dead": 1}


def test_an_unreadable_body_becomes_its_events_when_it_is_retried_after_a_fix(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f.body(f.messages(text_item("a"), text_item("b")))
    with monkeypatch.context() as patch:
        patch.setattr(module, "parse", lambda body: unreadable_body(body, "a fault of ours"))
        core.ingest(content)
    (letter,) = core.rows("SELECT * FROM event_jobs")
    assert letter.error == "a fault of ours"
    decided = dead_letters.retry(core.engine, core.redis, core.registry, [letter.id], "ada")
    assert decided.changed == [letter.id]
    core.run()
    assert (core.seen, core.states()) == (["a", "b"], {"done": 3})
    assert deliveries(core)[0][0] == "split"


def test_an_unreadable_body_that_still_cannot_be_read_stays_dead(core: Core) -> None:
    core.ingest(UNREADABLE)
    (letter,) = core.rows("SELECT * FROM event_jobs")
    decided = dead_letters.retry(core.engine, core.redis, core.registry, [letter.id], "ada")
    assert (decided.changed, decided.refused) == ([], {letter.id: "its body still cannot be read"})
    assert core.states() == {"dead": 1}


def test_events_of_no_conversation_have_the_lane_of_their_account(core: Core) -> None:
    core.on("other")
    core.ingest(f.body(f.account_update("ONE"), f.account_update("TWO")))
    lanes = [row.lane for row in core.rows("SELECT lane FROM event_jobs")]
    assert len(lanes) == 2
    assert len(set(lanes)) == 1
    assert core.value("SELECT count(*) FROM conversations") == 0
    core.run()
    assert core.states() == {"done": 2}
