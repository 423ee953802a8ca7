"""A reply leaves once, in order, only if its handler committed."""

from datetime import UTC, datetime, timedelta

import pytest

from app import replays
from app.handlers import Context, Event
from tests.helpers import factories as f
from tests.helpers.core import text_body
from tests.integration.ingest.conversations import PHONE_ONLY, USER_ONLY
from tests.integration.outbox.conftest import Outbox, Reply

HOUR = 3600
ROOT = "SELECT key FROM conversations WHERE merged_into IS NULL"


def say(*texts: str) -> Reply:
    def handler(_event: Event, ctx: Context) -> None:
        for text in texts:
            ctx.reply(text)

    return handler


def test_what_a_handler_replies_reaches_meta_as_meta_wants_it(outbox: Outbox) -> None:
    outbox.handle(lambda _event, ctx: ctx.reply("Which?", buttons=["Red", "Blue"]), "hello")
    outbox.send()
    (sent,) = outbox.graph.sent
    (row,) = outbox.rows()
    assert sent["user"] == f.phone(1)
    assert sent["number"] == f.PHONE_NUMBER_ID
    assert [each["reply"]["title"] for each in sent["message"]["interactive"]["action"]["buttons"]] == [
        "Red",
        "Blue",
    ]
    assert sent["callback"] == f"neverdrop:{row.callback.hex}"
    assert (row.state, row.message_id, row.attempts) == ("accepted", sent["id"], 1)


def test_a_handler_that_fails_sends_nothing(outbox: Outbox) -> None:
    def fails(_event: Event, ctx: Context) -> None:
        ctx.reply("never")
        raise ValueError

    outbox.handle(fails, "hello")
    outbox.send()
    assert outbox.rows() == []
    assert outbox.graph.posts == 0


def test_a_handler_that_is_given_an_event_again_replies_once(outbox: Outbox) -> None:
    outbox.handle(say("one", "two"), "hello")
    outbox.send()
    core = outbox.core
    begun = replays.start(core.engine, replays.Choice(), "ada", "a test", 1)
    assert replays.make_jobs(core.engine, core.redis, core.registry, begun, [core.event("hello").id]) == 1
    core.run()
    outbox.send()
    assert core.states() == {"done": 2}
    assert outbox.graph.texts == ["one", "two"]


def test_a_replay_that_sends_again_sends_each_reply_once_more(outbox: Outbox) -> None:
    core = outbox.core
    outbox.handle(say("one", "two"), "hello")
    outbox.send()
    for _ in range(2):
        begun = replays.start(core.engine, replays.Choice(), "ada", "lost phone", 1, sends_again=True)
        ids = [core.value("SELECT id FROM events")]
        assert replays.make_jobs(core.engine, core.redis, core.registry, begun, ids) == 1
        core.run()
        outbox.send()
    assert outbox.graph.texts == ["one", "two"] * 3


def test_what_is_committed_at_once_leaves_though_the_attempt_fails_and_only_once(outbox: Outbox) -> None:
    def slow(_event: Event, ctx: Context) -> None:
        ctx.reply_now("one moment")
        if ctx.attempt == 1:
            raise ValueError
        ctx.reply("done")

    outbox.handle(slow, "hello")
    outbox.core.make_due()
    outbox.core.step(outbox.core.value("SELECT lane FROM event_jobs"))
    outbox.send()
    assert outbox.graph.texts == ["one moment", "done"]


def test_replies_of_a_conversation_leave_in_the_order_in_which_they_were_written(outbox: Outbox) -> None:
    outbox.graph.set_faults(throttled=0.3, graph_5xx=0.2, no_status=True)
    texts = [str(number) for number in range(12)]
    for user in (1, 2, 3):
        outbox.handle(say(*texts), f"hello {user}", sender=user)
    for _ in range(400):
        outbox.make_due()
        outbox.send(0.05)
        if set(outbox.states()) == {"accepted"}:
            break
    for user in (1, 2, 3):
        assert [
            each["message"]["text"]["body"] for each in outbox.graph.sent if each["user"] == f.phone(user)
        ] == texts


def test_a_reply_that_waits_keeps_its_place_when_its_conversation_is_merged(outbox: Outbox) -> None:
    outbox.graph.set_faults(no_status=True)
    outbox.handle(say("to the user"), "a", **USER_ONLY)
    outbox.send()
    outbox.graph.set_faults(pair_limited=1, no_status=True)
    outbox.handle(say("to the phone"), "b", **PHONE_ONLY)
    outbox.send()
    outbox.graph.set_faults(no_status=True)
    outbox.handle(say("to both"), "c")
    outbox.send()
    assert outbox.graph.texts == ["to the user"]
    outbox.make_due()
    for _ in range(2):
        outbox.send()
    assert outbox.graph.texts == ["to the user", "to the phone", "to both"]


def test_a_reply_of_an_attempt_that_runs_during_a_merge_goes_with_its_conversation(outbox: Outbox) -> None:
    def reply_while_merged(_event: Event, ctx: Context) -> None:
        ctx.reply("here")
        outbox.core.ingest(text_body("both", at=f.NOW + 2))

    outbox.core.ingest(text_body("user", at=f.NOW, **USER_ONLY))
    outbox.handle(reply_while_merged, "phone", at=f.NOW + 1, **PHONE_ONLY)
    assert {row.conversation for row in outbox.rows()} == {outbox.core.value(ROOT)}


def test_a_send_that_was_committed_late_waits_for_one_that_has_left(outbox: Outbox) -> None:
    outbox.handle(say("first", "second"), "hello")
    outbox.core.execute(
        "UPDATE sends SET state = 'sending', held_until = now() + interval '1 min' WHERE id = 2"
    )
    outbox.send()
    assert outbox.graph.texts == []
    outbox.core.execute("UPDATE sends SET state = 'queued', held_until = NULL WHERE id = 2")
    outbox.send()
    outbox.send()
    assert outbox.graph.texts == ["first", "second"]


def test_a_conversation_that_waits_delays_no_other(outbox: Outbox) -> None:
    outbox.graph.set_faults(pair_limited=1, no_status=True)
    outbox.handle(say("a"), "one", sender=1)
    outbox.send()
    outbox.graph.set_faults(no_status=True)
    outbox.handle(say("b"), "two", sender=2)
    outbox.send()
    assert outbox.graph.texts == ["b"]
    assert outbox.states() == ["queued", "accepted"]


def test_a_reply_is_sent_to_the_user_id_where_no_phone_is_known(outbox: Outbox) -> None:
    outbox.core.on("message", None, say("hi"))
    item = f.text_message("hello", timestamp=str(int(datetime.now(UTC).timestamp())))
    del item["from"]
    outbox.core.ingest(f.body(f.messages(item)))
    outbox.core.run()
    outbox.send()
    assert [each["user"] for each in outbox.graph.sent] == [f.user_id(1)]


def test_a_message_to_somebody_else_joins_the_order_of_that_conversation(outbox: Outbox) -> None:
    outbox.handle(say("first"), "hello", sender=2)
    outbox.handle(lambda _event, ctx: ctx.send(f"+{f.phone(2)}", "second"), "tell two", sender=1)
    first, second = outbox.rows()
    assert first.conversation == second.conversation
    outbox.send()
    assert outbox.graph.texts == ["first", "second"]


def test_what_meta_would_refuse_is_an_error_in_the_handler_and_nothing_leaves(outbox: Outbox) -> None:
    outbox.handle(lambda _event, ctx: ctx.reply("x" * 4097), "hello")
    assert outbox.core.value("SELECT state FROM event_jobs") == "dead"
    assert "4097 characters" in outbox.core.value("SELECT error FROM event_jobs")
    assert outbox.rows() == []


def test_a_reply_waits_for_its_time_and_can_be_cancelled_by_its_key(outbox: Outbox) -> None:
    tomorrow = datetime.now(UTC) + timedelta(hours=20)
    outbox.handle(lambda _event, ctx: ctx.reply("soon", at=tomorrow, cancel_key="visit"), "hello", sender=1)
    outbox.handle(lambda _event, ctx: ctx.reply("now"), "hi", sender=2)
    outbox.send()
    assert outbox.graph.texts == ["now"]
    outbox.handle(lambda _event, ctx: ctx.cancel("visit"), "no", sender=3)
    outbox.make_due()
    outbox.send()
    assert outbox.graph.texts == ["now"]
    assert outbox.states() == ["cancelled", "accepted"]


def test_after_a_picture_the_text_waits_for_the_status_sent(outbox: Outbox) -> None:
    def handler(_event: Event, ctx: Context) -> None:
        ctx.reply(image="https://example.com/a.png")
        ctx.reply("below")

    outbox.handle(handler, "hello")
    outbox.send()
    assert len(outbox.graph.sent) == 1
    outbox.report(outbox.rows()[0], "sent")
    outbox.send()
    assert outbox.graph.texts == ["below"]


def test_a_status_that_does_not_come_is_waited_for_only_a_while(outbox: Outbox) -> None:
    def handler(_event: Event, ctx: Context) -> None:
        ctx.reply("first")
        ctx.reply("second", after="delivered")

    outbox.handle(handler, "hello")
    outbox.send()
    assert outbox.graph.texts == ["first"]
    outbox.let_waits_end()
    outbox.send()
    assert outbox.graph.texts == ["first", "second"]


@pytest.mark.parametrize(("hours", "sent"), [(23, "text"), (25, "template")])
def test_outside_the_window_the_template_leaves_instead(outbox: Outbox, hours: int, sent: str) -> None:
    template = {"name": "visit", "language": "en_US"}
    at = int(datetime.now(UTC).timestamp()) - hours * HOUR
    outbox.handle(lambda _event, ctx: ctx.reply("hi", outside_window=template), "hello", at=at)
    outbox.send()
    assert [each["message"]["type"] for each in outbox.graph.sent] == [sent]


def test_outside_the_window_a_text_alone_is_a_dead_letter(outbox: Outbox) -> None:
    at = int(datetime.now(UTC).timestamp()) - 25 * HOUR
    outbox.handle(say("hi"), "hello", at=at)
    outbox.send()
    (row,) = outbox.rows()
    assert (row.state, row.error_code, outbox.graph.posts) == ("dead", 131047, 0)


def test_a_window_that_opened_meanwhile_counts(outbox: Outbox) -> None:
    at = int(datetime.now(UTC).timestamp()) - 25 * HOUR
    outbox.handle(say("hi"), "hello", at=at)
    outbox.core.ingest(text_body("again", at=int(datetime.now(UTC).timestamp())))
    outbox.send()
    assert outbox.graph.texts == ["hi"]
