"""The Lua scripts, each beside the Python that calls it, sent to Redis once and then called by its hash."""

from functools import cache
from importlib.resources import files

from redis import Redis
from redis.commands.core import Script


@cache
def _source(package: str, name: str) -> str:
    return files(package).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def script(client: "Redis", package: str | None, name: str) -> Script:
    """``NAME.lua`` of a package as a callable ``(keys, args)``; it is loaded again by itself when Redis has lost it."""
    return client.register_script(_source(package or "app", name))
