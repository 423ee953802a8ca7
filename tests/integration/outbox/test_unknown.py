"""What may have been sent is never sent again by itself: a status settles it, or a person does."""

import time
from typing import Any

import pytest

from app.outbox import OutboxStatements, decide, end_leases
from app.outbox.retry import SendDecision
from app.outbox.statements import Ready
from tests.integration.outbox.conftest import Outbox
from tests.integration.outbox.test_replies import say


def unknown(outbox: Outbox, **faults: object) -> None:
    outbox.graph.set_faults(no_status=True, **faults)
    outbox.handle(say("hi"), "hello")
    outbox.send()
    outbox.graph.set_faults(no_status=True)


@pytest.mark.parametrize("fault", ["cut_off", "bare_5xx", "bare_5xx_sent"])
def test_an_answer_that_does_not_come_or_says_nothing_is_unknown(outbox: Outbox, fault: str) -> None:
    unknown(outbox, **{fault: 1})
    outbox.make_due()
    outbox.let_waits_end()
    outbox.send()
    assert (outbox.states(), outbox.graph.posts) == (["unknown"], 1)


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_a_status_proves_that_it_was_sent(outbox: Outbox, status: str) -> None:
    unknown(outbox, cut_off=1)
    outbox.report(outbox.rows()[0], status)
    (row,) = outbox.rows()
    assert (row.state, row.status, row.message_id, row.unsure) == (
        "accepted",
        status,
        f"wamid.of{row.id}",
        False,
    )


def test_a_status_settles_also_what_became_a_dead_letter(outbox: Outbox) -> None:
    unknown(outbox, cut_off=1)
    (died,) = outbox.sweep(unknown_seconds=0)
    (row,) = outbox.rows()
    assert (died, row.state, row.unsure) == (row.id, "dead", True)
    outbox.report(row, "delivered")
    assert outbox.states() == ["accepted"]


def test_a_status_that_is_faster_than_the_answer_counts(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    (ready,) = outbox.sender.statements.take(outbox.rows()[0].number, "", 1)
    outbox.report(outbox.rows()[0], "delivered")
    outbox.sender.statements.record([(ready.send, SendDecision("unknown", "no answer"))])
    (row,) = outbox.rows()
    assert (row.state, row.status, row.unsure) == ("accepted", "delivered", False)


def test_what_a_dead_sender_was_posting_is_unknown_as_soon_as_it_is_missed(outbox: Outbox) -> None:
    engine = outbox.core.engine
    outbox.handle(say("hi"), "hello")
    (ready,) = OutboxStatements(engine, "worker/7").take(outbox.rows()[0].number, "", 1)
    for others in (("other", None), ("worker", [8])):
        assert end_leases(engine, *others) == []
    assert end_leases(engine, "worker", [7, 8]) == [ready.send.id]
    outbox.sweep()
    assert (outbox.states(), outbox.graph.posts) == (["unknown"], 0)
    outbox.sender.statements.record([(ready.send, SendDecision("accepted"))])  # it lives after all
    assert outbox.states() == ["accepted"]


@pytest.mark.parametrize("decision", ["drop", None])
def test_a_sender_that_stood_still_posts_nothing_that_was_decided_meanwhile(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, decision: str | None
) -> None:
    monkeypatch.setattr("app.outbox.sender.SURE_SECONDS", 0.2)
    outbox.sender.statements = OutboxStatements(outbox.core.engine, "worker/7")
    take = OutboxStatements.take

    def stand_still(*given: Any) -> list[Ready]:
        ready = take(*given)
        monkeypatch.setattr(OutboxStatements, "take", take)
        time.sleep(0.3)
        assert end_leases(outbox.core.engine, "worker", [7]) == [each.send.id for each in ready]
        outbox.sweep()
        if decision:
            decide(outbox.core.engine, decision, [each.send.id for each in ready], "ada")
        return ready

    outbox.handle(say("hi"), "hello")
    monkeypatch.setattr(OutboxStatements, "take", stand_still)
    outbox.send()
    posts, state = (0, "dropped") if decision else (1, "accepted")
    assert (outbox.graph.posts, outbox.states()) == (posts, [state])


def test_failed_proves_that_it_was_not_delivered_and_is_sent_again_where_the_code_allows_it(
    outbox: Outbox,
) -> None:
    outbox.handle(say("hi"), "hello")
    outbox.send()
    outbox.report(outbox.rows()[0], "failed", errors=[{"code": 131000, "title": "Something went wrong"}])
    assert outbox.states() == ["queued"]
    outbox.make_due()
    outbox.send()
    assert (outbox.states(), outbox.graph.texts) == (["accepted"], ["hi", "hi"])


def test_failed_for_good_is_a_dead_letter_with_metas_words(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    outbox.send()
    outbox.report(outbox.rows()[0], "failed", errors=[{"code": 131026, "title": "Message undeliverable"}])
    (row,) = outbox.rows()
    assert (row.state, row.status, row.error_code) == ("dead", "failed", 131026)
    assert "Message undeliverable" in row.error


def test_failed_after_delivered_changes_nothing(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    outbox.send()
    outbox.report(outbox.rows()[0], "delivered")
    outbox.report(outbox.rows()[0], "failed", errors=[{"code": 131026}])
    (row,) = outbox.rows()
    assert (row.state, row.status) == ("accepted", "delivered")


def test_a_sender_that_dies_leaves_what_it_had_unknown(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    outbox.sender.statements.take(outbox.rows()[0].number, "", 1)
    outbox.send()
    assert (outbox.states(), outbox.graph.posts) == (["sending"], 0)
    outbox.let_waits_end()
    outbox.send()
    assert (outbox.states(), outbox.graph.posts) == (["unknown"], 0)


def test_an_unknown_holds_its_conversation_up_for_a_while_only(outbox: Outbox) -> None:
    unknown(outbox, cut_off=1)
    outbox.handle(say("next"), "hello again")
    outbox.send()
    assert outbox.states() == ["unknown", "queued"]
    outbox.let_waits_end()
    outbox.send()
    assert outbox.states() == ["unknown", "accepted"]


def test_two_senders_at_once_post_each_message_once(outbox: Outbox) -> None:
    for user in range(1, 9):
        outbox.handle(say("a", "b"), f"hello {user}", sender=user)
    number = outbox.rows()[0].number
    first, second = (Outbox(outbox.core, outbox.graph, outbox.loop) for _ in range(2))
    taken = first.sender.statements.take(number, "", 5), second.sender.statements.take(number, "", 100)
    ids = [ready.send.id for each in taken for ready in each]
    assert (len(ids), len(set(ids))) == (8, 8)


@pytest.mark.parametrize(
    ("action", "state", "posts"),
    [("send_again", "accepted", 2), ("was_sent", "accepted", 1), ("drop", "dropped", 1)],
)
def test_a_person_decides_and_it_is_known_who(outbox: Outbox, action: str, state: str, posts: int) -> None:
    unknown(outbox, cut_off=1)
    (row,) = outbox.rows()
    assert decide(outbox.core.engine, action, [row.id], "ada", "seen in the chat") == [row.id]
    outbox.send()
    assert (outbox.states(), outbox.graph.posts) == ([state], posts)
    (noted,) = outbox.core.rows("SELECT * FROM send_actions")
    assert (noted.action, noted.who, noted.reason) == (action, "ada", "seen in the chat")


def test_a_decision_about_what_was_sent_changes_nothing(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    outbox.send()
    assert decide(outbox.core.engine, "send_again", [outbox.rows()[0].id], "ada") == []
    assert outbox.states() == ["accepted"]
