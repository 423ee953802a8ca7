"""What Meta refuses: sent again, paused, stopped, or dead, and no attempt counted where none could succeed."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from app.broker import wake_senders
from app.outbox import OutboxStatements
from config.settings import Settings
from tests.integration.outbox.conftest import Outbox
from tests.integration.outbox.test_replies import say


@pytest.mark.parametrize("fault", ["throttled", "pair_limited", "graph_5xx"])
def test_what_was_surely_not_sent_is_sent_again(outbox: Outbox, fault: str) -> None:
    outbox.graph.set_faults(no_status=True, **{fault: 1})
    outbox.handle(say("hi"), "hello")
    outbox.send()
    (row,) = outbox.rows()
    assert (row.state, row.attempts, row.unsure) == ("queued", 1, False)
    outbox.graph.set_faults(no_status=True)
    outbox.make_due()
    outbox.send()
    assert outbox.states() == ["accepted"]
    answers = [row.answer for row in outbox.core.rows("SELECT answer FROM send_attempts ORDER BY number")]
    assert answers[0].startswith("(13")
    assert answers[1] == "accepted"


def test_meta_that_cannot_be_reached_costs_no_message(outbox: Outbox, env: Callable[..., Settings]) -> None:
    env(WHATSAPP_API_URL="http://127.0.0.1:9")
    outbox.handle(say("hi"), "hello")
    outbox.send()
    assert outbox.states() == ["queued"]
    env(WHATSAPP_API_URL=outbox.graph.url)
    outbox.make_due()
    outbox.send()
    assert outbox.graph.texts == ["hi"]


def test_a_throttled_number_pauses_as_a_whole(outbox: Outbox) -> None:
    outbox.graph.set_faults(no_status=True, throttled=1)
    outbox.handle(say("a"), "one", sender=1)
    outbox.send()
    outbox.graph.set_faults(no_status=True)
    outbox.handle(say("b"), "two", sender=2)
    outbox.sender.rates.pause(outbox.rows()[0].number, 60)
    outbox.send()
    assert (outbox.states(), outbox.graph.texts) == (["queued", "queued"], [])


def test_an_expired_token_stops_the_number_and_costs_no_attempt(outbox: Outbox) -> None:
    outbox.graph.set_faults(no_status=True, token_expired=True)
    outbox.handle(say("hi"), "hello")
    for _ in range(3):
        outbox.send()
    (row,) = outbox.rows()
    assert (row.state, row.attempts, outbox.graph.posts) == ("queued", 0, 1)
    (stopped,) = outbox.core.rows("SELECT * FROM stopped_numbers")
    assert (stopped.number, stopped.error_code) == (row.number, 190)


def test_another_token_resumes_the_number(outbox: Outbox, env: Callable[..., Settings]) -> None:
    outbox.graph.set_faults(no_status=True, token_expired=True)
    outbox.handle(say("hi"), "hello")
    outbox.send()
    outbox.graph.set_faults(no_status=True)
    outbox.send()
    assert outbox.states() == ["queued"]
    env(WHATSAPP_ACCESS_TOKEN="another")
    outbox.send()
    assert outbox.states() == ["accepted"]
    assert outbox.core.rows("SELECT * FROM stopped_numbers") == []


def test_without_a_token_replies_wait(outbox: Outbox, env: Callable[..., Settings]) -> None:
    env(WHATSAPP_ACCESS_TOKEN="")
    outbox.handle(say("hi"), "hello")
    outbox.send()
    (row,) = outbox.rows()
    assert (row.state, row.attempts) == ("queued", 0)
    env(WHATSAPP_ACCESS_TOKEN="token")
    outbox.send()
    assert outbox.states() == ["accepted"]


def test_each_number_has_its_own_token(outbox: Outbox, env: Callable[..., Settings]) -> None:
    number = "200300400500600"
    env(WHATSAPP_ACCESS_TOKEN="1=other")
    outbox.handle(say("hi"), "hello")
    outbox.send()
    assert outbox.states() == ["queued"]
    env(WHATSAPP_ACCESS_TOKEN=f"1=other,{number}=token")
    outbox.send()
    assert outbox.states() == ["accepted"]


def test_after_many_failures_one_call_in_a_while_asks_whether_meta_is_back(
    outbox: Outbox, env: Callable[..., Settings]
) -> None:
    env(WHATSAPP_API_URL="http://127.0.0.1:9")
    for user in range(1, 31):
        outbox.handle(say("hi"), f"hello {user}", sender=user)
    for _ in range(3):
        outbox.send()
    tried = outbox.core.value("SELECT sum(attempts) FROM sends")
    env(WHATSAPP_API_URL=outbox.graph.url)
    outbox.core.execute("UPDATE sends SET due_at = clock_timestamp()")
    outbox.send()
    assert outbox.graph.posts == 0  # the breaker's pause
    assert tried < 60
    outbox.make_due()
    outbox.send()
    outbox.make_due()
    outbox.send()
    assert set(outbox.states()) == {"accepted"}


def test_a_pause_from_before_redis_clock_was_set_back_ends_within_a_minute(outbox: Outbox) -> None:
    outbox.handle(say("hi"), "hello")
    key = f"outbox:pause:{outbox.rows()[0].number}"
    outbox.core.redis.set(key, "throttled", px=3_605_000)
    outbox.send()
    assert 0 < outbox.core.redis.pttl(key) <= 60_000


def test_a_wake_from_before_redis_clock_was_set_back_keeps_no_other_away(outbox: Outbox) -> None:
    outbox.core.redis.set("outbox:wake", 1, px=3_602_000)
    wake_senders(outbox.core.redis)
    assert outbox.core.redis.llen("outbox") == 1


def test_an_answer_that_postgres_cannot_take_is_written_down_by_the_next_run(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("UPDATE", None, Exception("read only"))

    outbox.handle(say("hi"), "hello")
    with monkeypatch.context() as patch:
        patch.setattr(OutboxStatements, "record", refuse)
        with pytest.raises(OperationalError):
            outbox.send()
    assert outbox.states() == ["sending"]
    outbox.send()
    assert (outbox.states(), outbox.graph.posts) == (["accepted"], 1)
