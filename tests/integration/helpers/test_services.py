"""What every integration test relies on."""

import pytest
from sqlalchemy import func, insert, select

from app.stores.connections import engine, redis
from app.stores.models import ConversationRow
from config.settings import Settings


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_starts_with_empty_stores(settings: Settings, run: int) -> None:
    with engine().begin() as connection:
        assert connection.scalar(select(func.count()).select_from(ConversationRow)) == 0
        connection.execute(insert(ConversationRow).values(key="left by a test"))
    assert redis().dbsize() == 0
    redis().set("left by a test", 1)


def test_valkey_keeps_what_it_confirmed_on_disk(settings: Settings) -> None:
    config = redis().config_get("append*")
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert redis().config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
