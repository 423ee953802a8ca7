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
from app.stores import delivery_id
from app.stores.connections import engine
from app.stores.delivery_id import DeliveryIds
from config.settings import Settings
from tests.helpers import loop

AHEAD_NS = 5_000_000_000
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
