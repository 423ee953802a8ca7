"""The order of acceptance is that of one clock, whatever a web's own clock says and whichever store answers.

Found by ``python -m tests.chaos --seed 11 --seconds 240 --every 5 --rate 60``: a web with a clock 5 s ahead was started
while Valkey was stopped, and what it accepted until then was put behind what other webs accepted later.
"""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.dev.stack.embedded import free_port
from app.intake import fallback_store, primary_store
from app.intake.accept import Intake
from app.intake.primary_store import PrimaryStore
from app.stores import connections, delivery_id
from app.stores.connections import engine, redis
from app.stores.delivery_id import DeliveryIds, accepted_ms
from app.stores.redis_keys import JOURNAL
from config.celery import WEBHOOKS
from config.settings import Settings
from tests.helpers import loop
from tests.integration.intake.valkeys import PATIENCE_SECONDS

AHEAD_NS = 5_000_000_000
HOUR_NS = 3_600_000_000_000
NEAR_SECONDS = 1.0

OFF_BY = text("SELECT abs(extract(epoch FROM clock_timestamp() - accepted_at))::float FROM deliveries")


def test_a_web_that_starts_without_redis_goes_by_the_clock_of_postgres(
    env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(delivery_id, "_WALL_AT_START_NS", delivery_id._WALL_AT_START_NS + AHEAD_NS)
    monkeypatch.setattr(delivery_id, "ids", DeliveryIds())
    intake = Intake(primary_store.write, fallback_store.write, sync_clock=fallback_store.sync_clock)
    loop.run(intake.accept(b"{}"))
    with engine().connect() as connection:
        assert connection.execute(OFF_BY).scalar_one() < NEAR_SECONDS


@pytest.mark.parametrize("off_ns", [HOUR_NS, -HOUR_NS])
def test_a_web_that_has_not_heard_that_the_clock_of_redis_was_set_names_nothing_by_the_time_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, off_ns: int
) -> None:
    ids = DeliveryIds()
    now = delivery_id.local_ns()
    ids.sync_clock(now + off_ns, now, now)
    monkeypatch.setattr(delivery_id, "ids", ids)
    monkeypatch.setattr(connections, "WEB_REDIS_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    store = PrimaryStore()
    try:
        loop.run(Intake(store.write, fallback_store.write).accept(b"{}"))
    finally:
        loop.close(store)
    (name,) = redis().hkeys(JOURNAL)
    assert abs(accepted_ms(name.decode()) - delivery_id.local_ns() / 1_000_000) < PATIENCE_SECONDS * 1000
    assert redis().llen(WEBHOOKS) == 1
