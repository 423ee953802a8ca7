"""A bot, and a CRM beside it that is a target: away, slow, failing, cutting off; forwarders are killed meanwhile.

``TARGETS_MESSAGES=600 TARGETS_DOWN_SECONDS=180 pytest -n 0 tests/acceptance/test_targets.py`` is the long form, with
the pauses, breaker and leases that a forwarder really has.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from app.dev.stack import programs as pipeline
from app.stores.connections import engine
from tests.helpers import factories as f
from tests.helpers.crm import Crm, crm
from tests.helpers.stack import Stack
from tests.helpers.targets import SECRET

MESSAGES = int(os.environ.get("TARGETS_MESSAGES", "120"))
DOWN_SECONDS = float(os.environ.get("TARGETS_DOWN_SECONDS", "0"))  # that the CRM is away; 0: for ten attempts
USERS = 12
TIMEOUT_SECONDS = 90 + MESSAGES // 5 + 4 * int(DOWN_SECONDS)  # pauses grow threefold

WAITING = text("SELECT count(*) FROM event_jobs WHERE state = 'pending' AND handler = :handler")
DONE = text("SELECT count(*) FROM event_jobs WHERE state = 'done' AND handler = :handler")
SENDS = text("SELECT event_id FROM sends WHERE handler = 'target:crm'")


@pytest.mark.timeout(TIMEOUT_SECONDS + 60)
def test_a_target_gets_everything_in_order_whatever_fails_and_the_bot_never_waits(
    start_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    file = tmp_path / "targets.toml"
    fast = replace(pipeline.forwarder(), argv=(sys.executable, "-m", "tests.acceptance.fast_forwarder"))
    with crm(down=True, slow_seconds=0.05, failing=0.05, cut_off=0.05, replies=True) as target:
        file.write_text(
            f'[[target]]\nname = "crm"\nurl = "{target.url}"\nsecret = "{SECRET}"\ntimeout_seconds = 2\n'
        )
        stack = start_stack(
            forwarders=[pipeline.forwarder() if DOWN_SECONDS else fast],
            HANDLERS="app.handlers.echo",
            TARGETS=str(file),
        )
        post_all(stack)
        stack.wait_until(lambda: count(DONE, "app.handlers.echo.echo") == MESSAGES, TIMEOUT_SECONDS)
        assert target.received == []  # the bot is through, and the CRM is still away
        stack.wait_until(lambda: target.attempts >= 10, TIMEOUT_SECONDS)
        away_until = time.monotonic() + DOWN_SECONDS
        stack.wait_until(lambda: time.monotonic() >= away_until, TIMEOUT_SECONDS)
        target.down = False
        for _ in range(2):
            stack.wait_until(partial(grows, target, len(target.received)), TIMEOUT_SECONDS)
            stack.kill("forwarder1")
            stack.start("forwarder1")
        stack.wait_until(lambda: count(WAITING, "target:crm") == 0, TIMEOUT_SECONDS)
    judge(target)


def grows(target: Crm, before: int) -> bool:
    return len(target.received) > before


def post_all(stack: Stack) -> None:
    now = int(time.time())
    for number in range(0, MESSAGES, USERS):
        messages = [
            f.text_message(
                str(number + user), number=number + user, sender=user + 1, timestamp=str(now + number)
            )
            for user in range(USERS)
        ]
        assert stack.post(f.body(f.messages(*messages))).status_code == 200


def judge(target: Crm) -> None:
    received = {int(said): (id_, event) for id_, event, _, said in target.received}
    assert sorted(received) == list(range(MESSAGES)), "each event at least once"
    assert len({(id_, event) for id_, event, _, _ in target.received}) == MESSAGES, "one id for each event"
    assert count(DONE, "target:crm") == MESSAGES
    for conversation in {conversation for _, _, conversation, _ in target.received}:
        order = [int(said) for _, _, of, said in target.received if of == conversation]
        assert list(dict.fromkeys(order)) == sorted(set(order)), "in order in each conversation"
        assert order == sorted(order), "and nothing again after what follows it"
    with engine().connect() as connection:
        answered = list(connection.execute(SENDS).scalars())
    assert len(answered) == len(set(answered)) == MESSAGES, "an answer leaves once"


def count(statement: object, handler: str) -> int:
    with engine().connect() as connection:
        return int(connection.execute(statement, {"handler": handler}).scalar_one())
