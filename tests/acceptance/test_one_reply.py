"""One message in, one reply out: workers and senders die, Valkey forgets, and Meta's answers are lost.

``ONE_REPLY_MESSAGES=5000 pytest -n 0 -s tests/acceptance/test_one_reply.py`` is the long form.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import httpx
import pytest
from sqlalchemy import text

from app.stores.connections import engine, redis
from tests.helpers import factories as f
from tests.helpers.graph import GraphStandIn, graph_stand_in
from tests.helpers.stack import Stack

MESSAGES = int(os.environ.get("ONE_REPLY_MESSAGES", "160"))
USERS = 20
REDELIVERED = 0.2
POSTERS = 4
PAUSE_SECONDS = 1.5  # between two faults
FAULTS = {"throttled": 0.1, "cut_off": 0.05, "bare_5xx_sent": 0.02}
TIMEOUT_SECONDS = 200 + MESSAGES // 5

SENDS = text("SELECT body::json->'text'->>'body' AS said, state::text, unsure FROM sends")
UNANSWERED = text("SELECT count(*) FROM send_attempts WHERE answer NOT LIKE '(%' AND answer <> 'accepted'")
WAITING = text("SELECT count(*) FROM event_jobs WHERE state = 'pending'")


@pytest.mark.timeout(TIMEOUT_SECONDS + 60)
def test_every_message_is_answered_once_and_in_order_whatever_dies(start_stack: Callable[..., Stack]) -> None:
    with graph_stand_in() as graph:
        stack = start_stack(
            workers=2,
            senders=2,
            HANDLERS="tests.acceptance.handlers_replying",
            WHATSAPP_API_URL=graph.url,
            WHATSAPP_ACCESS_TOKEN="token",
            CLAIM_LEASE_SECONDS="3",
            SWEEP_GRACE_SECONDS="2",
        )
        graph.report_to(f"{stack.url}/webhook")
        graph.set_faults(**FAULTS)
        ended = threading.Event()
        faults = threading.Thread(target=break_things, args=(stack, ended))
        faults.start()
        try:
            post_all(stack)
        finally:
            ended.set()
            faults.join()
        stack.wait_until(drained, TIMEOUT_SECONDS, "the end of the backlog")
        judge(graph)


def post_all(stack: Stack) -> None:
    """Post every message until it is answered with 200, a fifth of them twice."""
    now = int(time.time())

    def post(number: int) -> None:
        sent_at = str(now + number // USERS)
        message = f.text_message(str(number), number=number, sender=number % USERS + 1, timestamp=sent_at)
        for _ in range(1 + (random.random() < REDELIVERED)):
            stack.wait_until(lambda: accepted(stack, f.body(f.messages(message))))

    with ThreadPoolExecutor(POSTERS) as posters:
        # A user's messages by one poster, so that they are accepted in their order
        users = [list(range(user, MESSAGES, USERS)) for user in range(USERS)]
        list(posters.map(lambda numbers: [post(number) for number in numbers], users))


def accepted(stack: Stack, body: f.Json) -> bool:
    try:
        return stack.post(body).status_code == 200
    except httpx.HTTPError:
        return False


def break_things(stack: Stack, ended: threading.Event) -> None:
    """Kill and stop workers and senders in turn, and let Valkey forget once all but the journal."""
    forgotten = False
    while not ended.wait(PAUSE_SECONDS):
        for name in ("sender1", "worker1", "sender2", "worker2"):
            if ended.wait(PAUSE_SECONDS):
                return
            if random.random() < 0.5:
                stack.kill(name)
            else:
                stack.stop(name)
            stack.start(name)
        if not forgotten:
            forgotten = True
            client = redis()
            client.delete(*[key for key in client.keys("*") if not key.startswith(b"journal")] or [b"none"])


def drained() -> bool:
    """Whether nothing waits any more; what a killed sender left is aged, so that nobody waits for its lease."""
    with engine().begin() as connection:
        connection.execute(
            text("UPDATE sends SET held_until = clock_timestamp() WHERE held_until > clock_timestamp()"
                 " AND (state = 'unknown' OR held_until < clock_timestamp() + interval '40 s')")
        )  # fmt: skip
        waiting = connection.execute(WAITING).scalar_one()
        left = connection.execute(
            text("SELECT count(*) FROM sends WHERE state IN ('queued', 'sending')")
        ).scalar_one()
        written = connection.execute(text("SELECT count(*) FROM sends")).scalar_one()
    return bool(waiting == 0 and left == 0 and written == MESSAGES)


def judge(graph: GraphStandIn) -> None:
    """Each message was answered once and in order; what was not says so."""
    counts = Counter(graph.texts)
    assert {reply: times for reply, times in counts.items() if times > 1} == {}
    with engine().connect() as connection:
        rows = connection.execute(SENDS).all()
        unanswered = connection.execute(UNANSWERED).scalar_one()
    assert len(rows) == MESSAGES
    missing = [row for row in rows if row.said not in counts]
    assert [row for row in missing if not (row.unsure and row.state in ("unknown", "dead"))] == []
    undecided = [row for row in rows if row.state in ("unknown", "dead") and row.said in counts]
    assert undecided == []
    by_user = sorted(graph.sent, key=lambda each: (each["user"], each["order"]))
    for user, sent in groupby(by_user, key=lambda each: each["user"]):
        numbers = [int(each["message"]["text"]["body"]) for each in sent]
        assert numbers == sorted(numbers), user
    print(f"{len(counts)} replies to {MESSAGES} messages")  # noqa: T201
    print(f"{unanswered} calls without an answer, {len(missing)} undecided")  # noqa: T201
