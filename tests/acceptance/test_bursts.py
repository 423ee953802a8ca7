"""Bursts: no message is lost and none is in two lists, though workers die and the queues are lost.

``BURST_MESSAGES=2000 pytest -n 0 -s tests/acceptance/test_bursts.py`` is the long form.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import httpx
import pytest
from sqlalchemy import text

from app.stores.connections import engine, redis
from tests.helpers import factories as f
from tests.helpers.stack import Stack

MESSAGES = int(os.environ.get("BURST_MESSAGES", "120"))
USERS = 6
PAUSE_SECONDS = 1.0  # between two faults
TIMEOUT_SECONDS = 150 + MESSAGES // 5

WAITING = text("SELECT count(*) FROM event_jobs WHERE state = 'pending'")
STATES = text("SELECT state FROM dialogs")
SIZES = text("SELECT count(*) FROM joined_jobs GROUP BY leader")


@pytest.mark.timeout(TIMEOUT_SECONDS + 60)
def test_no_message_is_lost_and_none_is_in_two_lists_whatever_dies(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(
        workers=2,
        HANDLERS="tests.acceptance.handlers_joining",
        CLAIM_LEASE_SECONDS="2",
        SWEEP_GRACE_SECONDS="1",
        # A body whose task was lost with the queues is found by a sweep: what was accepted after it waits for that
        ORDER_SETTLE_SECONDS="120",
    )
    ended = threading.Event()
    faults = threading.Thread(target=break_things, args=(stack, ended))
    faults.start()
    try:
        with ThreadPoolExecutor(USERS) as users:
            list(users.map(lambda user: talk(stack, user), range(1, USERS + 1)))
    finally:
        ended.set()
        faults.join()
    stack.wait_until(drained, TIMEOUT_SECONDS, "the end of the backlog")
    judge()


def talk(stack: Stack, user: int) -> None:
    """A user writes in bursts, and sends a picture now and then."""
    chance = random.Random(user)
    for number in range(user, MESSAGES + 1, USERS):
        sent_at = str(int(time.time()))
        message = f.text_message(str(number), number=number, sender=user, timestamp=sent_at)
        post(stack, message)
        if chance.random() < 0.1:
            post(stack, f.message("image", number=f"picture {number}", sender=user, timestamp=sent_at))
        time.sleep(chance.choice([0, 0, 0, 0.1, 1.5]))  # a user's pace, not a wait for anything


def post(stack: Stack, message: f.Json) -> None:
    def is_accepted() -> bool:
        try:
            return stack.post(f.body(f.messages(message))).status_code == 200
        except httpx.HTTPError:
            return False

    stack.wait_until(is_accepted)


def break_things(stack: Stack, ended: threading.Event) -> None:
    """Kill the workers in turn, and let Valkey forget once all but the journal."""
    names = ["worker1", "worker2"]
    while not ended.wait(PAUSE_SECONDS):
        name = random.choice(names)
        stack.kill(name)
        if ended.wait(PAUSE_SECONDS):
            stack.start(name)
            return
        stack.start(name)
        client = redis()
        client.delete(*[key for key in client.keys("*") if not key.startswith(b"journal")] or [b"none"])


def drained() -> bool:
    with engine().connect() as connection:
        stored = connection.execute(text("SELECT count(*) FROM events WHERE type = 'text'")).scalar_one()
        return bool(stored == MESSAGES and connection.execute(WAITING).scalar_one() == 0)


def judge() -> None:
    """Each user's lists, one after the other, are what that user wrote, in order."""
    with engine().connect() as connection:
        states = [json.loads(state) for state in connection.execute(STATES).scalars()]
        sizes = list(connection.execute(SIZES).scalars())
    written = [[int(words) for words in chain.from_iterable(state["lists"])] for state in states]
    assert sorted(chain.from_iterable(written)) == list(range(1, MESSAGES + 1))
    for numbers in written:
        assert numbers == sorted(numbers)
    assert max(sizes) > 1
    lists = sum(len(state["lists"]) for state in states)
    print(f"{MESSAGES} messages in {lists} lists, of {max(sizes)} at most")  # noqa: T201
