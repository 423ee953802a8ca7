"""One reply: what was answered twice, not at all, out of order, or is not known to be answered, is named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.dev.judge import Entry, Facts, ReceivedReply, replies
from app.dev.judge.records import StoredAttempt, StoredEffect, StoredEvent, StoredJob, StoredSend
from app.dev.simulator import PlannedEvent, Try

START = 1_790_000_000
KEYS = ("a", "b", "c")
CHECKS = (
    replies.messages_are_answered_once,
    replies.lost_answers_are_settled,
    replies.replies_arrive_in_order,
)


def good() -> Facts:
    """Three messages of one conversation, each answered once; the answer of Meta to one was lost."""
    facts = Facts([], 3, 0, [], [], [], [], {})
    for number, key in enumerate(KEYS):
        at = START + number
        planned = PlannedEvent(key, "message", "text", "ada", at, f"wamid.{key}", replies=1)
        facts = replace(
            facts,
            entries=[*facts.entries, Entry((planned,), [Try("web", at, at + 0.1, 200)])],
            events=[*facts.events, StoredEvent(number, key, at, f"0{number}", 0, at)],
            jobs=[
                *facts.jobs,
                StoredJob(number, number, "main", 1, "done", False, 1, None, at + 0.9),
                # A replay, which sends nothing again
                StoredJob(10 + number, number, "main", 1, "done", False, 1, None, at + 60, 1),
            ],
            attempts=[*facts.attempts, StoredAttempt(number, 1, "worker1@host/7", at + 0.5, at + 0.9, None)],
            effects=[
                *facts.effects,
                StoredEffect(number, number, 1, False, at + 0.6, at + 0.8),
                StoredEffect(10 - number, 10 + number, 1, False, at + 59, at + 60),
            ],
            sends=[*facts.sends, StoredSend(number, "handler", "accepted", False, int(key == "b"), None)],
        )
    return replace(facts, received=[ReceivedReply(order, f"wamid.{key}") for order, key in enumerate(KEYS)])


def received(facts: Facts, *keys: str) -> Facts:
    return replace(facts, received=[ReceivedReply(order, f"wamid.{key}") for order, key in enumerate(keys)])


def send(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another reply to this message."""
    number = facts.event_of[key].id
    rows = [replace(row, **changes) if row.event_id == number else row for row in facts.sends]  # type: ignore[arg-type]
    return replace(facts, sends=rows)


BROKEN: list[tuple[Callable[[Facts], Facts], str]] = [
    (lambda f: received(f, "a", "b", "b", "c"), "answered 2 times instead of 1: b"),
    (lambda f: received(f, "a", "c"), "was not answered, and its reply is accepted: b"),
    (lambda f: send(received(f, "a", "c"), "b", state="dead"), "was not answered, and its reply is dead: b"),
    (lambda f: replace(received(f, "a", "c"), sends=[f.sends[0], f.sends[2]]), "0 replies were written: b"),
    (lambda f: received(f, "a", "b", "c", "d"), "a reply to a message that nobody sent: wamid.d"),
    (lambda f: send(f, "b", state="unknown", unsure=True), "the reply is unknown, and was received: b"),
    (lambda f: send(f, "b", state="sending"), "the reply is still sending: b"),
    (lambda f: received(f, "b", "a", "c"), "the reply to a came behind that to b"),
]


def violations(facts: Facts) -> list[str]:
    return [found.sentence for check in CHECKS for found in check(facts) if found is not None]


def test_one_reply_to_each_message_is_right() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(("broken", "sentence"), BROKEN, ids=[case[1] for case in BROKEN])
def test_what_is_broken_is_named(broken: Callable[[Facts], Facts], sentence: str) -> None:
    assert sentence in violations(broken(good()))


def test_a_reply_that_may_have_been_sent_and_says_so_is_no_fault() -> None:
    for state in ("unknown", "dead"):
        assert violations(send(received(good(), "a", "c"), "b", state=state, unsure=True)) == []


def test_without_a_stand_in_nothing_is_judged() -> None:
    assert [list(check(replace(good(), received=None))) for check in CHECKS] == [[], [], []]
