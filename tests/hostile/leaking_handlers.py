"""Handlers that fail in every way that puts what a message says into an error; the text's first word says which.

They stand for the code of whoever uses Neverdrop, who writes values into errors and logs without a thought.
"""

import asyncio
import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.handlers import Context, Event, Permanent, RetryAfter
from app.stores import redis
from config.logging import get_logger

WAYS: dict[str, Callable[[Event, Context], Any]] = {}
CLOSED_PORT = 9

logger = logging.getLogger("a.package")


def way(function: Callable[[Event, Context], Any]) -> Callable[[Event, Context], Any]:
    WAYS[function.__name__] = function
    return function


class Verbose(Exception):
    """An exception of somebody's own, with all that it knows."""

    def __init__(self, event: Event) -> None:
        self.event = event
        super().__init__(event, event.content)


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError(self.args)


# Python's own


@way
def key_error(event: Event, _ctx: Context) -> None:
    raise KeyError(event.text)


@way
def key_error_of_a_number(event: Event, _ctx: Context) -> None:
    raise KeyError(int(event.item["from"]))


@way
def value_error(event: Event, _ctx: Context) -> None:
    raise ValueError(f"cannot use {event.text} of {event.conversation} in {event.key}")


@way
def type_error(event: Event, _ctx: Context) -> None:
    raise TypeError(f"unexpected '{event.text}'")


@way
def attribute_error(event: Event, _ctx: Context) -> None:
    getattr(event, str(event.text))


@way
def whole_payload(event: Event, _ctx: Context) -> None:
    raise RuntimeError(event.content)


@way
def own_class(event: Event, _ctx: Context) -> None:
    raise Verbose(event)


@way
def text_cannot_be_read(event: Event, _ctx: Context) -> None:
    raise Unreadable(event.text)


@way
def decoder(event: Event, _ctx: Context) -> None:
    json.loads(str(event.text))


@way
def number(event: Event, _ctx: Context) -> None:
    int(str(event.text))


@way
def decimal(event: Event, _ctx: Context) -> None:
    Decimal(str(event.text))


@way
def encoder(event: Event, _ctx: Context) -> None:
    f"{event.text}ü".encode("ascii")


@way
def lines(event: Event, _ctx: Context) -> None:
    raise ValueError("\n".join(str(event.text).split()))


@way
def first_name(event: Event, _ctx: Context) -> None:
    raise ValueError(f"no account for {event.content['value']['contacts'][0]['profile']['name'].split()[0]}")


@way
def upper_case(event: Event, _ctx: Context) -> None:
    raise ValueError(str(event.text).upper())


@way
def chained(event: Event, _ctx: Context) -> None:
    try:
        key_error(event, _ctx)
    except KeyError as error:
        raise Permanent(f"no such order: {event.text}") from error


@way
def group(event: Event, _ctx: Context) -> None:
    error = ValueError(event.text)
    error.add_note(f"while {event.conversation} waited for {event.text}")
    raise ExceptionGroup(f"two of {event.text}", [error, KeyError(event.key)])


@way
def notes(event: Event, _ctx: Context) -> None:
    error = ValueError("a note follows")
    error.add_note(f"the text was {event.text}")
    raise error


@way
def later(event: Event, _ctx: Context) -> None:
    raise RetryAfter(0.1, f"{event.text} is busy")


@way
def exits(event: Event, _ctx: Context) -> None:
    raise SystemExit(f"{event.text}")


@way
def assertion(event: Event, _ctx: Context) -> None:
    assert event.text == "something else", f"{event.text} != something else"


@way
def time_limit(event: Event, _ctx: Context) -> None:
    held = [event.text, event.payload]
    time.sleep(60)
    held.clear()


# Stores and services


@way
def unique(event: Event, ctx: Context) -> None:
    for _ in range(2):
        ctx.session.execute(text("INSERT INTO leaks VALUES (:name, 1)"), {"name": event.text})


@way
def not_null(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("INSERT INTO leaks VALUES (:name, NULL)"), {"name": event.text})


@way
def cast(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("SELECT CAST(:name AS integer)"), {"name": event.text})


@way
def literal(event: Event, ctx: Context) -> None:
    ctx.session.execute(text(f"SELECT * FROM leaks WHERE name = '{event.text}' AND nothing = 1"))


@way
def literal_name(event: Event, ctx: Context) -> None:
    ctx.session.execute(text(f'SELECT "{event.text}" FROM leaks'))


@way
def syntax(event: Event, ctx: Context) -> None:
    ctx.session.execute(text(f"SELECT {event.text} FROM WHERE"))


@way
def raised_in_postgres(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("SELECT leak(:name)"), {"name": event.text})


@way
def too_long(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("INSERT INTO short_leaks VALUES (:name)"), {"name": event.text})


@way
def no_json(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("SELECT CAST(:name AS jsonb)"), {"name": event.text})


@way
def statement(event: Event, ctx: Context) -> None:
    ctx.session.execute(text("SELECT :name, :other"), {"name": event.text})


@way
def swallowed(event: Event, ctx: Context) -> None:
    try:
        ctx.session.execute(text("SELECT CAST(:name AS integer)"), {"name": event.text})
    except SQLAlchemyError:
        logger.exception("could not look for %s", event.text)
    ctx.session.execute(text("SELECT 1"))


@way
def redis_command(event: Event, _ctx: Context) -> None:
    client: Any = redis()
    client.execute_command("SET", "neverdrop-test-leak", "x", "EX", event.text)


@way
def redis_pipeline(event: Event, _ctx: Context) -> None:
    pipeline = redis().pipeline()
    pipeline.set("neverdrop-test-leak", "x")
    pipeline.hset("neverdrop-test-leak", "name", str(event.text))
    pipeline.delete("neverdrop-test-leak")
    pipeline.execute()


@way
def redis_script(event: Event, _ctx: Context) -> None:
    redis().eval("return redis.error_reply('bad ' .. ARGV[1])", 0, str(event.text))


@way
def address(event: Event, _ctx: Context) -> None:
    number = event.item["from"]
    httpx.get(f"http://127.0.0.1:{CLOSED_PORT}/users/{number}?name={event.text}", trust_env=False)


@way
def address_in_words(event: Event, _ctx: Context) -> None:
    raise ConnectionError(f"GET https://crm.example/users/{event.item['from']}?q={event.text} failed")


# What is logged on the way


@way
def log_lines(event: Event, _ctx: Context) -> None:
    logger.warning("message %s of %s: %s", event.key, event.conversation, event.text)
    logger.error("payload: %r", event.content)
    get_logger("a.module").warning("order.unknown", customer=event.text, contact=event.item["from"])
    get_logger("a.module").warning(f"no order for {event.text}")
    warnings.warn(f"{event.text} is old", stacklevel=1)
    raise Permanent("said enough")


@way
def thread(event: Event, _ctx: Context) -> None:
    def fail() -> None:
        raise ValueError(f"not for {event.text}")

    started = threading.Thread(target=fail, name=f"for {event.text}")
    started.start()
    started.join()
    raise Permanent("said enough")


@way
def destructor(event: Event, _ctx: Context) -> None:
    class Loud:
        def __del__(self) -> None:
            raise ValueError(f"still {event.text}")

    Loud()
    raise Permanent("said enough")


@way
def asynchronous(event: Event, _ctx: Context) -> None:
    async def fail() -> None:
        raise ValueError(f"no {event.text}")

    async def leave_it() -> None:
        asyncio.get_running_loop().create_task(fail(), name=f"for {event.text}")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(leave_it())
    raise Permanent("said enough")


# A target's


def payload(event: Event, _content: Any) -> Any:
    """Make no body of an event, and say why."""
    raise Permanent(f"no form for {event.text} of {event.item['from']}")
