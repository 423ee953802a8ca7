"""A client of Redis whose keys all begin with this deployment's prefix.

Two deployments with a REDIS_PREFIX each can share one Redis: the prefix is put before every key on the way out, here
alone, so that nobody who names a key has to think of it. A command for which no rule says where its keys stand is
refused, with a prefix or without: it would otherwise leave its deployment unseen. (Celery's own messages and remote
control get the same prefix from kombu: see ``config.celery``.)
"""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

from redis import Redis
from redis.client import Pipeline

Arguments = list[Any]  # of a command, without its name
Key = TypeVar("Key", str, bytes)

NO_KEY = """
    TIME PING INFO ECHO SELECT AUTH HELLO WAIT WAITAOF MULTI EXEC DISCARD UNWATCH DBSIZE FLUSHDB FLUSHALL SHUTDOWN
    CONFIG CLIENT SCRIPT ACL LASTSAVE BGREWRITEAOF DEBUG REPLICAOF COMMAND
"""
ONE_KEY = """
    GET SET SETEX GETDEL INCR INCRBY EXPIRE PEXPIRE PERSIST TTL PTTL TYPE
    HGET HSET HSETNX HMGET HDEL HGETALL HINCRBY HLEN HEXISTS HKEYS HVALS HSCAN
    LPUSH RPUSH LPOP RPOP LLEN LINDEX LRANGE LREM LTRIM LSET
    SADD SREM SMEMBERS SISMEMBER SCARD
    ZADD ZREM ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZREVRANGE ZREMRANGEBYSCORE ZSCORE ZMSCORE ZINCRBY
    PUBLISH KEYS
"""
KEYS_AND_TIMEOUT = "BRPOP"
ALL_KEYS = "DEL UNLINK EXISTS MGET WATCH TOUCH RENAME"
NUMBERED_KEYS = "EVAL EVALSHA"  # a script, how many keys, the keys, its arguments


def _no_key(_arguments: Arguments) -> range:
    return range(0)


def _one_key(_arguments: Arguments) -> range:
    return range(1)


def _all_keys(arguments: Arguments) -> range:
    return range(len(arguments))


def _all_but_last(arguments: Arguments) -> range:
    return range(len(arguments) - 1)


def _numbered_keys(arguments: Arguments) -> range:
    return range(2, 2 + int(arguments[1]))


def _pattern(arguments: Arguments) -> range:
    """Of SCAN, whose keys are chosen by a pattern; without one it would show what is somebody else's."""
    at = arguments.index(b"MATCH" if b"MATCH" in arguments else "MATCH") + 1
    return range(at, at + 1)


RULES: dict[str, Callable[[Arguments], range]] = {
    **dict.fromkeys(NO_KEY.split(), _no_key),
    **dict.fromkeys(ONE_KEY.split(), _one_key),
    **dict.fromkeys(ALL_KEYS.split(), _all_keys),
    **dict.fromkeys(KEYS_AND_TIMEOUT.split(), _all_but_last),
    **dict.fromkeys(NUMBERED_KEYS.split(), _numbered_keys),
    "SCAN": _pattern,
}
ANSWERED_WITH_KEYS = ("KEYS", "SCAN")


def with_prefix(prefix: str, command: Sequence[Any]) -> tuple[Any, ...]:
    """The command with ``prefix`` before each of its keys; ValueError where no rule says which those are.

    Of a name of two words, as redis-py writes it ("CONFIG GET"), the first one counts.
    """
    name, *arguments = command
    rule = RULES.get(str(name).split(" ", 1)[0].upper())
    if rule is None:
        raise ValueError(f"no rule says where the keys of {name} stand: add it to {__name__}")
    if not prefix:
        return tuple(command)
    for index in rule(arguments):
        arguments[index] = _prefixed(prefix, arguments[index])
    return (name, *arguments)


def _prefixed(prefix: str, key: Any) -> Any:
    return prefix.encode() + key if isinstance(key, bytes) else f"{prefix}{key}"


class _Prefixing:
    """For a client and its pipelines."""

    key_prefix: str = ""

    def execute_command(self, *command: Any, **options: Any) -> Any:
        return super().execute_command(*with_prefix(self.key_prefix, command), **options)  # type: ignore[misc]


class PrefixedPipeline(_Prefixing, Pipeline):
    """Commands that are sent together."""


class PrefixedRedis(_Prefixing, Redis):
    """See the module; keys in its answers are without the prefix, as they are asked for."""

    @classmethod
    def of(cls, prefix: str, url: str, **options: Any) -> Self:
        """A client of the Redis at a URL; ``options`` are redis-py's."""
        client = cast(Self, cls.from_url(url, **options))
        client.key_prefix = prefix
        return client

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        pipeline = PrefixedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.key_prefix = self.key_prefix
        return pipeline

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        answer = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if not self.key_prefix or command_name not in ANSWERED_WITH_KEYS:
            return answer
        if command_name == "SCAN":
            cursor, keys = answer
            return cursor, self._without_prefix(keys)
        return self._without_prefix(answer)

    def _without_prefix(self, keys: Sequence[Any]) -> list[Any]:
        return [cast(bytes, key)[len(self.key_prefix) :] for key in keys]
