"""200 is answered when the body is on disk in Redis or committed in Postgres, and never before."""

import socket
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from app.stores.connections import redis
from app.stores.redis_keys import JOURNAL
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, conversations, message
from tests.helpers.factories import signed

CRASHES = 2
BURST = 60
OUTAGE_SECONDS = 10
STALL_SECONDS = 5  # longer than any client's patience
BETWEEN_POSTS_SECONDS = 0.1
ANSWER_SECONDS = 20

STORED_IN_FALLBACK_STORE = text("SELECT count(*) FROM deliveries WHERE state = 'stored'")


def in_journal(sent: Sequence[Item]) -> list[Item]:
    """Those whose body waits there."""
    bodies: Any = redis().hvals(JOURNAL)
    waiting = set(bodies)
    return [each for each in sent if signed(each.content).body in waiting]


def in_fallback_store(pipeline: Pipeline) -> int:
    count: int = pipeline.rows(STORED_IN_FALLBACK_STORE)[0][0]
    return count


def test_a_web_that_dies_before_it_has_the_body_has_not_acknowledged_it(pipeline: Pipeline) -> None:
    sent = message()
    request = signed(sent.content)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    begin = f"POST /webhook HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {len(request.body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", pipeline.stack.port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(begin.encode() + request.body[:-1])
        pipeline.stack.kill("web")
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            answer = b""
    assert answer == b""
    assert pipeline.states([sent]) == {}
    assert in_journal([sent]) == []

    pipeline.stack.start("web")
    pipeline.deliver([sent])
    pipeline.assert_done_once([sent])


def test_a_web_killed_in_mid_burst_loses_nothing_and_what_is_sent_again_is_done_once(
    pipeline: Pipeline,
) -> None:
    everything: list[Item] = []
    for _ in range(CRASHES):
        sent = conversations(6, BURST // 6)
        answers = [pipeline.meta.begin(each.content) for each in sent[: BURST // 2]]
        answers[0].result()
        pipeline.stack.pause("web")  # so that some are on their way for sure
        answers += [pipeline.meta.begin(each.content) for each in sent[BURST // 2 :]]
        pipeline.stack.kill("web")
        acknowledged = [each for each, answer in zip(sent, answers, strict=True) if answer.result() == 200]
        assert 0 < len(acknowledged) < BURST
        pipeline.wait_until_done(acknowledged)
        pipeline.stack.start("web")
        pipeline.deliver([each for each in sent if each not in acknowledged])
        everything += sent
    pipeline.assert_done_once(everything)


def test_what_was_acknowledged_before_redis_was_killed_is_in_its_journal_afterwards(
    pipeline: Pipeline,
) -> None:
    stack = pipeline.stack
    stack.kill("ingest1")
    before = conversations(10, 3)
    pipeline.accept(before)
    stack.kill("valkey")
    meanwhile = conversations(10, 3)
    pipeline.accept(meanwhile)
    assert in_fallback_store(pipeline) == len(meanwhile)

    stack.start("valkey")
    assert in_journal(before) == before
    assert pipeline.states(before) == {}
    stack.start("ingest1")
    after = conversations(10, 3)
    pipeline.accept(after)
    pipeline.assert_done_once([*before, *meanwhile, *after])


def test_a_redis_that_hangs_delays_no_answer_and_costs_no_event(pipeline: Pipeline) -> None:
    before = conversations(5, 3)
    pipeline.accept(before)
    pipeline.stack.pause("valkey")
    with pipeline.meta.flow(message, BETWEEN_POSTS_SECONDS) as meanwhile:
        pipeline.wait_for(STALL_SECONDS)
    pipeline.stack.resume("valkey")
    after = conversations(5, 3)
    pipeline.accept(after)
    pipeline.assert_done_once([*before, *meanwhile, *after])


def test_while_postgres_is_away_the_journal_takes_everything(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    held = message(block="yes")
    pipeline.accept([held])
    pipeline.wait_until_begun(held)
    stack.stop("postgres")
    with pipeline.meta.flow(message, BETWEEN_POSTS_SECONDS) as meanwhile:
        pipeline.wait_for(OUTAGE_SECONDS)
    assert in_journal(meanwhile) == meanwhile
    pipeline.open_gate(held)
    stack.start("postgres")
    after = conversations(5, 2)
    pipeline.accept(after)
    pipeline.assert_done_once([held, *meanwhile, *after])


def test_without_either_store_nothing_is_acknowledged_and_what_meta_sends_again_is_done(
    pipeline: Pipeline,
) -> None:
    stack = pipeline.stack
    stack.stop("postgres")
    stack.kill("valkey")
    sent = conversations(2, 2)
    refused = stack.post(sent[0].content)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert len(pipeline.meta.post_all(sent)) == len(sent)

    stack.start("postgres")
    stack.start("valkey")
    pipeline.deliver(sent)
    pipeline.assert_done_once(sent)
