"""The rules that say where the keys of a command stand, compared with what the server says."""

from typing import Any

import pytest

from app.stores.prefixed_redis import (
    ALL_KEYS,
    KEYS_AND_TIMEOUT,
    NO_KEY,
    NUMBERED_KEYS,
    ONE_KEY,
    RULES,
    PrefixedRedis,
    with_prefix,
)

# Enough arguments for any of them
ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ONE_KEY.split(), ("a", "1", "2", "3")),
    **dict.fromkeys(ALL_KEYS.split(), ("a", "b")),
    **dict.fromkeys(KEYS_AND_TIMEOUT.split(), ("a", "b", "1")),
    **dict.fromkeys(NUMBERED_KEYS.split(), ("script", "2", "a", "b", "c")),
}
EXACT = {
    "GET": 1, "GETDEL": 1, "INCR": 1, "PERSIST": 1, "TTL": 1, "PTTL": 1, "TYPE": 1, "HGETALL": 1, "HLEN": 1,
    "HKEYS": 1, "HVALS": 1, "LLEN": 1, "SMEMBERS": 1, "SCARD": 1, "ZCARD": 1, "INCRBY": 2, "HGET": 2, "HEXISTS": 2,
    "LINDEX": 2, "SISMEMBER": 2, "ZSCORE": 2, "HSET": 3, "HSETNX": 3, "SETEX": 3, "HINCRBY": 3, "LRANGE": 3,
    "LREM": 3, "LTRIM": 3, "LSET": 3, "ZADD": 3, "ZCOUNT": 3, "ZREMRANGEBYSCORE": 3, "ZINCRBY": 3,
}  # fmt: skip
NOT_KEYS_TO_THE_SERVER = ("PUBLISH", "KEYS")  # a channel and a pattern


@pytest.fixture
def client(redis_url: str) -> Any:
    with PrefixedRedis.of("staging/", redis_url) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in NOT_KEYS_TO_THE_SERVER])
def test_each_key_of_a_command_gets_the_prefix(client: Any, name: str) -> None:
    command = (name, *ARGUMENTS[name][: EXACT.get(name)])
    named: Any = client.execute_command("COMMAND GETKEYS", *command)
    assert named, "the server names no key"
    prefixed = with_prefix("staging/", command)
    assert client.execute_command("COMMAND GETKEYS", *prefixed) == [f"staging/{key}" for key in named]
    assert [part.removeprefix("staging/") for part in prefixed] == list(command)


def test_a_command_without_a_rule_is_refused(client: Any) -> None:
    for prefix in ("", "staging/"):
        with pytest.raises(ValueError, match="no rule"):
            with_prefix(prefix, ("XADD", "stream", "*", "a", "b"))
    with pytest.raises(ValueError, match="no rule"), client.pipeline() as pipe:
        pipe.xadd("stream", {"a": "b"})


def test_every_rule_is_tried_here() -> None:
    assert RULES.keys() == {*ARGUMENTS, *NO_KEY.split(), "SCAN"}


def test_keys_are_answered_as_they_are_asked_for(client: Any, redis_url: str) -> None:
    with PrefixedRedis.of("", redis_url) as bare:
        bare.set("claim:1", "another deployment's")
        client.set("claim:2", "ours")
        assert client.keys("*") == list(client.scan_iter("claim:*")) == [b"claim:2"]
        assert bare.get("staging/claim:2") == b"ours"
        assert client.delete(*client.keys("claim:*")) == 1
        with client.pipeline(transaction=True) as pipe:
            pipe.watch("claim:3")
            pipe.multi()
            pipe.set("claim:3", "ours")
            pipe.execute()
        script = client.register_script("return redis.call('GET', KEYS[1])")
        assert script(keys=["claim:3"]) == b"ours"
        assert sorted(bare.keys("*")) == [b"claim:1", b"staging/claim:3"]
