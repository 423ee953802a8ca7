"""Bodies that are signed and hostile: each is accepted, ends where people can see it, and harms no neighbour.

A hostile body is stored in one transaction with ordinary ones, which is the worst place for it.
"""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import Client

from app.handlers import Context, Event
from app.recovery import sweeper
from app.stores.redis_keys import JOURNAL
from app.views import timeline
from config.celery import WEBHOOKS
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers import loop
from tests.helpers.core import Core, text_body

pytestmark = pytest.mark.core(messages="noted")

DEEP = 100_000
MIB = 1024 * 1024
NEIGHBOURS = ("before", "after")
# Of one body on its way into the tables: its text, its objects, its events, the statement and its parameters
MAX_MEMORY = 48 * MIB


@dataclass(frozen=True, slots=True)
class Hostile:
    """A body, and what it must be split into: ``events``, all done, or the one event of an unreadable body."""

    body: bytes
    events: int = 1
    unreadable: bool = False


def escaped(content: Any, **replaced: str) -> bytes:
    """A body whose placeholders are replaced by JSON that no encoder would write."""
    written = f.wire(content).decode()
    for name, raw in replaced.items():
        written = written.replace(f'"{name}"', raw)
    return written.encode()


def many_statuses() -> bytes:
    """1,000 of them in nearly 3 MiB."""
    states = ("sent", "delivered", "read", "failed")
    padding = "x" * 2_800
    return f.wire(
        f.body(
            f.statuses(
                *(
                    f.status(
                        states[place % 4],
                        number=place // 4,
                        recipient=place % 7,
                        biz_opaque_callback_data=padding,
                    )
                    for place in range(1000)
                )
            )
        )
    )


HOSTILE: dict[str, Callable[[], Hostile]] = {
    "empty": lambda: Hostile(b"", unreadable=True),
    "blank": lambda: Hostile(b" \n", unreadable=True),
    "not JSON": lambda: Hostile(b"{'entry': []}", unreadable=True),
    "cut short": lambda: Hostile(f.wire(text_body("cut"))[:-7], unreadable=True),
    "invalid UTF-8": lambda: Hostile(b'{"entry": "\xff\xfe\xfa"}', unreadable=True),
    "overlong UTF-8": lambda: Hostile(b'{"entry": "\xc0\xaf"}', unreadable=True),
    "UTF-16": lambda: Hostile(json.dumps(text_body("sixteen")).encode("utf-16")),
    "UTF-8 with a mark": lambda: Hostile(b"\xef\xbb\xbf" + f.wire(text_body("marked"))),
    "deep lists": lambda: Hostile(b"[" * DEEP + b"]" * DEEP, unreadable=True),
    "deep objects": lambda: Hostile(b'{"a":' * DEEP + b"1" + b"}" * DEEP, unreadable=True),
    "deep inside an item": lambda: Hostile(
        escaped(f.body(f.messages(f.text_message(number="deep", context="DEEP"))), DEEP="[" * DEEP + "]" * DEEP),
        unreadable=True,
    ),
    "duplicate names": lambda: Hostile(
        b'{"entry":[],' + f.wire(text_body("twice"))[1:-1] + b"," + f.wire(text_body("the last"))[1:]
    ),
    "NaN": lambda: Hostile(
        escaped(f.body(f.messages(f.text_message(number="nan", timestamp="BAD", extra="BAD"))), BAD="NaN")
    ),
    "infinity": lambda: Hostile(
        escaped(f.body(f.messages(f.text_message(number="inf", timestamp="BAD", extra="BAD"))), BAD="-1e999")
    ),
    "huge integers": lambda: Hostile(
        escaped(f.body(f.messages(f.text_message(number="huge", timestamp="BAD", extra="BAD"))), BAD="9" * 100_000)
    ),
    "large integers": lambda: Hostile(
        escaped(f.body(f.messages(f.text_message(number="large", timestamp="BAD", extra="BAD"))), BAD="9" * 4_000)
    ),
    "a NUL": lambda: Hostile(f.wire(f.body(f.messages(f.text_message("a\x00b", number="nu\x00l", sender=3))))),
    "lone surrogates": lambda: Hostile(
        f.wire(f.body(f.messages(f.text_message("\ud800", number="lone"), contacts=[f.contact(1, wa_id="\udfff")])))
    ),
    "a surrogate as id": lambda: Hostile(f.wire(f.body(f.messages(f.text_message() | {"id": "\ud800"})))),
    "1,000 statuses": lambda: Hostile(many_statuses(), events=1000),
    "one text of 2.9 MiB": lambda: Hostile(f.wire(f.body(f.messages(f.text_message("x" * int(2.9 * MIB)))))),
    "items that are none": lambda: Hostile(f.wire(f.body(f.messages(None, 1, "a", [], {}))), events=5),
    "a list as a body": lambda: Hostile(b"[]", unreadable=True),
    "a number as a body": lambda: Hostile(b"1", unreadable=True),
}  # fmt: skip


def nothing(event: Event, ctx: Context) -> None:
    """A handler that is satisfied with anything."""


@pytest.fixture(autouse=True)
def handlers_of_the_other_kinds(core: Core) -> None:
    core.on("status", function=nothing)
    core.on("other", function=nothing)


@pytest.fixture
def web(settings: Settings) -> Client:
    return loop.client()


def post(web: Client, body: f.Json | bytes) -> int:
    request = f.signed(body)
    return web.post("/webhook", data=request.body, headers=request.headers).status_code


def accepted(core: Core) -> list[tuple[str, bytes]]:
    """What came in, through whichever store: on a busy machine through both, under one id."""
    tasks = [core.take_task() for _ in range(core.redis.llen(WEBHOOKS))]
    with core.engine.connect() as connection:
        stored = sweeper.stored_deliveries(connection)
    found = dict(each for task in tasks for each in task) | {str(each.id): each.body for each in stored}
    return sorted(found.items())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_accepted_ends_visible_and_harms_no_neighbour(
    name: str, core: Core, web: Client
) -> None:
    hostile = HOSTILE[name]()
    before, after = text_body(NEIGHBOURS[0], sender=8), text_body(NEIGHBOURS[1], sender=9)
    assert [post(web, body) for body in (before, hostile.body, after)] == [200, 200, 200]

    deliveries = accepted(core)
    core.ingest_as(*deliveries)
    core.run()

    assert [core.event(words).state for words in NEIGHBOURS] == ["done", "done"]
    assert set(NEIGHBOURS) <= set(core.seen)
    assert core.redis.hlen(JOURNAL) == 0
    (delivery_id,) = [id_ for id_, body in deliveries if body == hostile.body]
    with core.engine.connect() as connection:
        timelines = timeline.find_timelines(connection, delivery_id)
    assert len(timelines) == hostile.events
    outcome = "dead" if hostile.unreadable else "done"
    assert {history.state for history in timelines} == {outcome}
    stored = core.value("SELECT state::text FROM deliveries WHERE id = CAST(:id AS uuid)", id=delivery_id)
    assert stored == ("unreadable" if hostile.unreadable else "split")


def test_the_text_of_an_unreadable_body_is_kept_to_the_byte(core: Core, web: Client) -> None:
    body = HOSTILE["invalid UTF-8"]().body
    post(web, body)
    core.ingest_as(*accepted(core))
    assert bytes(core.value("SELECT body FROM deliveries")) == body


@pytest.mark.parametrize("name", ["deep objects", "huge integers", "1,000 statuses", "one text of 2.9 MiB"])
def test_the_memory_that_a_body_takes_is_bounded(name: str, core: Core) -> None:
    hostile = HOSTILE[name]()
    core.ingest(text_body("everything is imported and connected"))
    tracemalloc.start()
    try:
        core.ingest(hostile.body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_MEMORY


def test_the_same_hostile_body_twice_is_one_dead_letter(core: Core, web: Client) -> None:
    for _ in range(2):
        assert post(web, b"not JSON") == 200
    core.ingest_as(*accepted(core))
    assert core.states() == {"dead": 1}


def test_a_large_text_reaches_its_handler_whole(core: Core, web: Client) -> None:
    words = "x" * int(2.9 * MIB)
    assert post(web, f.body(f.messages(f.text_message(words)))) == 200
    core.ingest_as(*accepted(core))
    core.run()
    assert core.seen == [words]
