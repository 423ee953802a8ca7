"""The Lua scripts beside this file, each sent to Redis once and then called by its hash."""

from functools import cache
from pathlib import Path

from redis import Redis
from redis.commands.core import Script

HERE = Path(__file__).parent


@cache
def _source(name: str) -> str:
    return (HERE / f"{name}.lua").read_text(encoding="utf-8")


def script(client: "Redis", name: str) -> Script:
    """``NAME.lua`` as a callable ``(keys, args)``; it is loaded again by itself when Redis has lost it."""
    return client.register_script(_source(name))
