"""A Redis that may lose what it confirmed is found, and refused in production."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from app.intake import primary_store
from app.stores.redis_checks import UnsafeJournal, findings
from tests.helpers import services as servers
from tests.helpers.loop import Blocking
from tests.integration.intake.valkeys import Valkey, journal, stored


def test_a_redis_that_evicts_is_refused_in_production_only(
    own_valkey: Valkey, env: Callable[..., Any]
) -> None:
    own_valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    primary_store.check_stores()
    env(NEVERDROP_ENV="production")
    with pytest.raises(UnsafeJournal, match="noeviction"):
        primary_store.check_stores()


def test_in_production_a_redis_that_evicts_is_never_written_to(
    own_valkey: Valkey, intake: Blocking, env: Callable[..., Any]
) -> None:
    own_valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    env(NEVERDROP_ENV="production")
    intake.accept(b"body")
    assert [row.body for row in stored()] == [b"body"]
    assert journal(own_valkey) == {}


@pytest.mark.parametrize(
    ("option", "value", "name", "fatal"),
    [
        ("appendonly", "no", "journal.not_durable", False),
        ("appendfsync", "everysec", "journal.not_durable", False),
        ("maxmemory-policy", "volatile-ttl", "journal.evicts", True),
    ],
)
def test_what_makes_a_journal_unsafe_is_found(
    own_valkey: Valkey, option: str, value: str, name: str, fatal: bool
) -> None:
    assert findings(own_valkey.client) == []
    own_valkey.client.config_set(option, value)
    assert [(each.name, each.fatal) for each in findings(own_valkey.client)] == [(name, fatal)]


def test_a_redis_that_forbids_config_is_taken_as_right(own_valkey: Valkey) -> None:
    own_valkey.client.acl_setuser(
        "managed", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"]
    )
    url = own_valkey.server.url.replace(f":{servers.PASSWORD}@", "managed:any@")
    with Redis.from_url(url) as client:
        assert findings(client) == []
