"""A network that takes posts to Meta and swallows the answers: nothing is sent twice, and all of it settles."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.graph import client
from config.settings import Settings
from tests.helpers.relay import Relay
from tests.integration.outbox.conftest import Outbox
from tests.integration.outbox.test_replies import say

PATIENCE_SECONDS = 30


@pytest.fixture
def network(outbox: Outbox, env: Callable[..., Settings]) -> Iterator[Relay]:
    """What lies between the sender and Meta; it swallows answers, and requests arrive."""
    outbox.graph.set_faults(no_status=True)
    with Relay(("127.0.0.1", outbox.graph.port), deaf=True) as relay:
        env(WHATSAPP_API_URL=f"http://127.0.0.1:{relay.port}", WHATSAPP_ACCESS_TOKEN="token")
        outbox.sender.rates.set_level(outbox_number(outbox), "HIGH")
        yield relay


def outbox_number(outbox: Outbox) -> str:
    outbox.handle(say("hi"), "hello")
    return str(outbox.rows()[0].number)


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def short_patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", seconds)
    client._reset()


def test_a_swallowed_answer_is_unknown_until_a_status_comes(
    outbox: Outbox, network: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_patience(monkeypatch, 0.3)
    outbox.send()
    assert outbox.states() == ["unknown"]
    network.deaf = False
    outbox.make_due()
    outbox.let_waits_end()
    outbox.send()
    assert (outbox.states(), outbox.graph.texts) == (["unknown"], ["hi"])
    outbox.report(outbox.rows()[0], "sent")
    assert (outbox.states(), outbox.graph.texts) == (["accepted"], ["hi"])


def test_an_answer_that_is_swallowed_for_longer_than_the_lease_sends_nothing_twice(
    outbox: Outbox, network: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep takes the sender for dead while it waits still; another sender finds nothing to send."""
    short_patience(monkeypatch, PATIENCE_SECONDS)
    waiting = threading.Thread(target=outbox.send)
    waiting.start()
    try:
        wait_until(lambda: outbox.graph.texts == ["hi"])
        outbox.let_waits_end()  # the lease is over
        (row,) = outbox.rows()
        assert (row.state, row.unsure) == ("unknown", True)
        assert outbox.sender.statements.take(row.number, "", 10) == []
        outbox.report(row, "delivered")
    finally:
        for link in network._links:
            link.close()  # the network comes back, and says that the connection is gone
        waiting.join()
    (row,) = outbox.rows()
    assert (row.state, row.status, row.unsure) == ("accepted", "delivered", False)
    network.deaf = False
    outbox.make_due()
    outbox.send()
    assert outbox.graph.texts == ["hi"]


def test_what_no_status_settles_is_a_dead_letter_and_the_next_one_leaves(
    outbox: Outbox, network: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_patience(monkeypatch, 0.3)
    outbox.send()
    network.deaf = False
    client._reset()
    outbox.handle(say("next"), "hello again")
    outbox.send()
    assert outbox.states() == ["unknown", "queued"]
    outbox.let_waits_end()
    outbox.send()
    assert outbox.states() == ["unknown", "accepted"]
    outbox.sweep(unknown_seconds=0)
    assert (outbox.states(), outbox.graph.texts) == (["dead", "accepted"], ["hi", "next"])
