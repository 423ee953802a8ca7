"""What failed can be seen, told and tried again; nothing fails in silence."""

import json
import subprocess
import sys
from typing import Any

import httpx
from sqlalchemy import text

from app.broker.envelope import arguments_of
from app.payload.parse import parse
from app.stores.connections import redis
from config.celery import DEAD_LETTERS, RETRY_DEAD_LETTER
from tests.acceptance.pipeline import EVENT_ID, Pipeline
from tests.acceptance.traffic import conversations, message
from tests.helpers.factories import Json, body, messages, wire

FLOWER_USER, FLOWER_PASSWORD = "ada", "secret"
COMMAND_SECONDS = 60
MAX_ATTEMPTS = 4  # of handlers_recorded
POISON: tuple[Any, ...] = ("\x00", "\ud800", 7, None, [], {"id": 5, "timestamp": "soon"})

ALERT = text("SELECT raised FROM alerts WHERE name = 'dead_letters'")


def neverdrop(*arguments: str) -> str:
    """What the command prints."""
    run = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    done = subprocess.run(run, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dead_letters() -> dict[int, Any]:
    """What the command line lists, by event id."""
    lines = neverdrop("dead", "list", "--json", "--limit", "1000").splitlines()
    return {letter["id"]: letter for letter in map(json.loads, lines)}


def event_id(pipeline: Pipeline, key: str) -> int:
    found: int = pipeline.rows(EVENT_ID, key=key)[0].id
    return found


def queued(event: int) -> bool:
    """Whether the queue that people watch has the event's dead letter."""
    messages: Any = redis().lrange(DEAD_LETTERS, 0, -1)
    return [event] in [arguments_of(message) for message in messages]


def test_a_body_that_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_done(pipeline: Pipeline) -> None:
    unreadable = f'{{"entry": [{message().number}'.encode()
    sent = conversations(4, 2)
    contents: list[Json | bytes] = [sent[0].content, unreadable, *(each.content for each in sent[1:])]
    answers = [pipeline.meta.begin(content) for content in contents]
    assert {answer.result() for answer in answers} == {200}
    pipeline.assert_done_once(sent)

    id_ = event_id(pipeline, parse(unreadable).events[0].key)
    assert dead_letters()[id_]["type"] == "unreadable"
    pipeline.stack.wait_until(lambda: queued(id_), what="the dead letter in its queue")


def test_an_item_that_is_poison_leaves_the_others_of_its_body_unharmed(pipeline: Pipeline) -> None:
    sent = conversations(4, 2)
    poison = message()
    items: list[Any] = [each.raw for each in sent]
    items[1:1] = [*POISON, poison.raw | {"text": {"body": "\x00 \ud800"}}]
    content = wire(body(messages(*items)))
    assert pipeline.meta.post(content) == 200
    pipeline.assert_done_once(sent)
    keys = [event.key for event in parse(content).events]
    assert len(keys) == len(items)
    assert {pipeline.rows(EVENT_ID, key=key)[0].id > 0 for key in keys} == {True}


def test_a_handler_that_hangs_is_stopped_and_tried_again_later(pipeline: Pipeline) -> None:
    hanging = message(type="button", hang=1)
    behind = message(hanging.user)
    pipeline.accept([hanging, behind])
    pipeline.assert_done_once([hanging, behind])
    pipeline.assert_in_order([hanging, behind])
    first, second = pipeline.attempts(hanging)
    assert first.error.startswith("TimeLimitExceeded")
    assert first.finished_at < second.started_at
    assert second.error is None
    pipeline.wait_until_logged("event.failed_attempt", hanging)


def test_an_event_that_fails_for_good_is_told_listed_and_retried_from_the_command_line(
    pipeline: Pipeline,
) -> None:
    failing, behind = message(closed="yes"), message()
    pipeline.accept([failing, behind])
    pipeline.wait_for_states([failing], dead=1)
    pipeline.wait_until_done([behind])
    assert len(pipeline.attempts(failing)) == MAX_ATTEMPTS
    pipeline.wait_until_logged("event.dead", failing)
    pipeline.stack.wait_until(
        lambda: [row.raised for row in pipeline.rows(ALERT)] == [True], what="the alert"
    )

    id_ = event_id(pipeline, failing.key)
    assert "the gate is closed" in dead_letters()[id_]["error"]
    pipeline.open_gate(failing)
    neverdrop("dead", "retry", str(id_), "--who", "ada")
    pipeline.assert_done_once([failing])
    pipeline.stack.wait_until(lambda: not queued(id_), what="a queue without what was retried")


def test_a_dead_letter_is_counted_and_retried_in_flower(pipeline: Pipeline) -> None:
    failing = message(closed="yes")
    pipeline.accept([failing])
    pipeline.wait_for_states([failing], dead=1)
    id_ = event_id(pipeline, failing.key)
    pipeline.stack.wait_until(lambda: queued(id_), what="the dead letter in its queue")

    url = pipeline.stack.start_flower(f"{FLOWER_USER}:{FLOWER_PASSWORD}")
    with httpx.Client(base_url=url, auth=(FLOWER_USER, FLOWER_PASSWORD), trust_env=False) as flower:
        queues = flower.get("/api/queues/length").json()["active_queues"]
        lengths = {queue["name"]: queue["messages"] for queue in queues}
        assert lengths[DEAD_LETTERS] == redis().llen(DEAD_LETTERS)
        pipeline.open_gate(failing)
        asked = flower.post(f"/api/task/send-task/{RETRY_DEAD_LETTER}", json={"args": [id_]})
        assert asked.is_success
    pipeline.assert_done_once([failing])


def test_the_outcome_of_every_event_is_logged(pipeline: Pipeline) -> None:
    done, again = message(), message(fail=1)
    pipeline.accept([done, again, done])
    pipeline.assert_done_once([done, again])
    for sent in (done, again):
        pipeline.wait_until_logged("event.accepted", sent)
        pipeline.wait_until_logged("event.done", sent)
    pipeline.wait_until_logged("event.failed_attempt", again)


def test_the_doctor_sees_a_delivery_done_and_what_each_worker_knows(pipeline: Pipeline) -> None:
    run = [sys.executable, "-c", "from app.cli import main; main()", "doctor", "--deliver", "--json"]
    url = f"{pipeline.stack.url}/webhook"
    done = subprocess.run(
        [*run, "--url", url], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    found = {json.loads(line)["check"] for line in done.stdout.splitlines() if line.startswith("{")}
    # Alerts are as the tests before leave them; the pipeline of the tests has no sender, and a Postgres without a disk
    assert found & {"deliver", "versions", "handlers", "schema", "no_worker", "no_ingest", "no_beat"} == set()
    assert "no_sender" in found
