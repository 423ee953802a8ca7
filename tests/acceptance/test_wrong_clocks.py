"""Clocks that are set while everything runs: nothing that one machine dates is trusted by another without a bound."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from app.stores.connections import redis
from app.watch import beat_signal
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import conversation, message
from tests.helpers.clocks import Clocks

PROMISED_SECONDS = 60
COMMITTED = text("SELECT number FROM acceptance_effects WHERE key = ANY(:keys) ORDER BY id")
QUICK = {"CLAIM_LEASE_SECONDS": "2", "SWEEP_GRACE_SECONDS": "1"}
AN_HOUR_APART = {"web": "+1h", "ingest1": "-1h", "worker1": "+1h", "beat": "-1h", "valkey": "-1h"}
THE_OTHER_WAY = {"web": "-1h", "ingest1": "+1h", "worker1": "-1h", "beat": "+1h", "valkey": "+1h"}


def test_clocks_that_are_set_by_an_hour_stop_nothing(
    start_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    clocks = Clocks(tmp_path)
    pipeline = start_pipeline(environment=clocks.environment, **QUICK)
    talk = conversation(3)
    pipeline.accept(talk[:1])
    pipeline.wait_until_done(talk[:1])
    sent = list(talk)
    for offsets, said in zip((AN_HOUR_APART, THE_OTHER_WAY), talk[1:], strict=True):
        # A worker that dies leaves a lease, which Redis ends by its clock
        interrupted, waiting = message(block="yes"), message(fail=1)
        sent += [interrupted, waiting]
        pipeline.accept([interrupted, waiting])
        pipeline.wait_until_begun(interrupted)
        pipeline.stack.kill("worker1")
        clocks.set(**offsets)
        pipeline.stack.start("worker1")
        pipeline.accept([said])
        pipeline.wait_until_done([interrupted, waiting, said], PROMISED_SECONDS)
        pipeline.stack.wait_until(lambda: beat_signal.is_alive(redis()), what="beat")
    pipeline.assert_done_once(sent)
    # In the order of their commits, not by the workers' clocks
    rows = pipeline.rows(COMMITTED, keys=[each.key for each in talk])
    assert [row.number for row in rows] == [each.number for each in talk]
