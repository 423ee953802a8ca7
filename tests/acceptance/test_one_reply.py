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
from typing import Any

import httpx
import pytest
from sqlalchemy import TextClause, text

from app.stores.connections import engine, redis
from tests.helpers import factories as f
from tests.helpers.graph import GraphStandIn, graph_stand_in
from tests.helpers.stack import Stack

MESSAGES = int(os.environ.get("ONE_REPLY_MESSAGES", "160"))
USERS = 20
REDELIVERED = 0.2
POSTERS = 4
WORK = 4  # posts of replies between two faults: a machine that is slow to start what died still gets on
LOOK_SECONDS = 0.2
FAULTS = {"throttled": 0.1, "cut_off": 0.05, "bare_5xx_sent": 0.02}
TIMEOUT_SECONDS = 200 + MESSAGES // 5

SENDS = text("SELECT body::json->'text'->>'body' AS said, state::text, unsure FROM sends")
UNANSWERED = text("SELECT count(*) FROM send_attempts WHERE answer NOT LIKE '(%' AND answer <> 'accepted'")
ENDLESS = text("SELECT count(*) FROM sends WHERE held_until = 'infinity'")
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
        faults = threading.Thread(target=break_things, args=(stack, graph, ended))
        faults.start()
        try:
            post_all(stack)
        finally:
            ended.set()
            faults.join()
        stack.wait_until(drained, TIMEOUT_SECONDS, "the end of the backlog")
        stack.wait_until(lambda: not undecided(graph), what="the statuses of what arrived without an answer")
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


def break_things(stack: Stack, graph: GraphStandIn, ended: threading.Event) -> None:
    """Kill workers and senders or one of their pool, or stop them, in turn; Valkey forgets once all but the journal."""
    forgotten = False
    while True:
        for name in ("sender1", "worker1", "sender2", "worker2"):
            goal = graph.posts + WORK
            while graph.posts < goal:
                if ended.wait(LOOK_SECONDS):
                    return
            fault = random.choice((stack.kill, stack.kill_of_pool, stack.stop))
            fault(name)
            if fault != stack.stop:
                let_no_lease_end()
            if fault != stack.kill_of_pool:
                stack.start(name)
        if not forgotten:
            forgotten = True
            stack.wait_until(lambda: not count(ENDLESS), what="the end of what the killed had")
            client = redis()
            client.delete(*[key for key in client.keys("*") if not key.startswith(b"journal")] or [b"none"])


def count(statement: TextClause) -> int:
    with engine().connect() as connection:
        return int(connection.execute(statement).scalar_one())


def let_no_lease_end() -> None:
    """What a killed sender left is ended by those who miss it, or never."""
    with engine().begin() as connection:
        connection.execute(text("UPDATE sends SET held_until = 'infinity' WHERE state = 'sending'"))


def drained() -> bool:
    """Whether nothing waits any more; unknowns are aged, so that nobody waits for what they hold up."""
    with engine().begin() as connection:
        connection.execute(
            text("UPDATE sends SET held_until = clock_timestamp() WHERE held_until > clock_timestamp()"
                 " AND state <> 'sending'")
        )  # fmt: skip
        waiting = connection.execute(WAITING).scalar_one()
        left = connection.execute(
            text("SELECT count(*) FROM sends WHERE state IN ('queued', 'sending')")
        ).scalar_one()
        written = connection.execute(text("SELECT count(*) FROM sends")).scalar_one()
    return bool(waiting == 0 and left == 0 and written == MESSAGES)


def undecided(graph: GraphStandIn) -> list[Any]:
    """Return the replies that arrived, and of which it is not known yet."""
    arrived = set(graph.texts)
    with engine().connect() as connection:
        rows = connection.execute(SENDS).all()
    return [row for row in rows if row.state in ("unknown", "dead") and row.said in arrived]


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
    by_user = sorted(graph.sent, key=lambda each: (each["user"], each["order"]))
    for user, sent in groupby(by_user, key=lambda each: each["user"]):
        numbers = [int(each["message"]["text"]["body"]) for each in sent]
        assert numbers == sorted(numbers), user
    print(f"{len(counts)} replies to {MESSAGES} messages")  # noqa: T201
    settled = 1 - len(missing) / unanswered if unanswered else 1
    print(f"{unanswered} calls without an answer, {settled:.1%} settled without a person")  # noqa: T201
