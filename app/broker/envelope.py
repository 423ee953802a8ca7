"""The bytes of a Celery message, as Celery itself would send them.

Building a message is most of what ``apply_async`` costs. So Celery builds one for each task and queue, with
placeholders for what differs, and later messages are copies with these filled in. It relies on the
private format of Celery and kombu, which are pinned; a test compares each message with ``apply_async``'s.

Nothing in a message but the bodies themselves says anything about a person: the arguments that Flower and
the logs show are a constant or a number.
"""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from celery import Celery
from kombu.utils.json import dumps, loads

from config.celery import (
    ADVANCE,
    BULK_PRIORITY,
    CONVERSATIONS,
    DEAD_LETTERS,
    INGEST,
    OUTBOX,
    RETRY_DEAD_LETTER,
    SEND,
    WEBHOOKS,
    celery_config,
)
from config.settings import settings

ORIGIN = "neverdrop"
SHOWN_BODIES = "(<bodies>,)"  # instead of the arguments, which are personal data

_DEAD_LETTER_IDS = UUID("6f1f9c0e-5d9b-5e39-9d2c-0a8c1f3b7e44")
_ID = "neverdrop-message-id"
_ARGUMENTS = "neverdrop-arguments"
_SHOWN = "neverdrop-shown"


class Envelope:
    """One task's message on one queue, with the places of its id, its arguments and their text left open."""

    def __init__(self, task: str, queue: str, priority: int = 0) -> None:
        message = _published(task, queue)
        message["properties"]["priority"] = priority
        body = b64decode(message["body"])
        self._before, self._after = body.split(dumps([_ARGUMENTS]).encode())
        message["body"] = _ARGUMENTS
        message["properties"]["delivery_tag"] = _ID
        self._head, rest = dumps(message).encode().split(_ARGUMENTS.encode())
        self._rest = rest

    def render(self, arguments: bytes, shown: str, message_id: UUID | None = None) -> bytes:
        """A message; ``arguments`` is the JSON list of them, ``shown`` what people see, the id a fresh one."""
        body = b64encode(b"".join((self._before, arguments, self._after)))
        rest = self._rest.replace(_ID.encode(), str(message_id or _fresh_id()).encode())
        return b"".join((self._head, body, rest.replace(_SHOWN.encode(), shown.encode())))


def ingest_message(deliveries: Sequence[tuple[str, bytes]]) -> bytes:
    """``ingest([[id, body], ...])`` for the queue ``webhooks``; a body need not be UTF-8."""
    bodies = ", ".join([f'["{delivery_id}", {_bytes_json(body)}]' for delivery_id, body in deliveries])
    return _envelope(INGEST, WEBHOOKS).render(f"[[{bodies}]]".encode(), SHOWN_BODIES)


def advance_message(lane: int, *, bulk: bool = False) -> bytes:
    """``advance(lane)`` for the queue ``conversations``, or for its list of bulk messages."""
    return _envelope(ADVANCE, CONVERSATIONS, BULK_PRIORITY if bulk else 0).render(
        b"[%d]" % lane, f"({lane:d},)"
    )


def send_message() -> bytes:
    """``send()`` for the queue ``outbox``."""
    return _envelope(SEND, OUTBOX).render(b"[]", "()")


def retry_dead_letter_message(event_id: int) -> bytes:
    """``retry_dead_letter(event_id)`` for the queue ``dead_letters``, where it stands for a dead event.

    Always the same bytes for the same event, so that the queue can be compared with the table.
    """
    envelope = _envelope(RETRY_DEAD_LETTER, DEAD_LETTERS)
    return envelope.render(b"[%d]" % event_id, f"({event_id:d},)", uuid5(_DEAD_LETTER_IDS, str(event_id)))


def arguments_of(message: bytes) -> list[Any]:
    """The arguments of a message that waits in a queue, as the task will get them."""
    arguments: list[Any] = loads(b64decode(json.loads(message)["body"]))[0]
    return arguments


def prepare() -> None:
    """Let Celery build its part now, so that no request has to wait for it."""
    ingest_message([])


def _fresh_id() -> UUID:
    """As ``uuid4`` gives it, without asking the system, which costs a turn of the GIL; unique, not secret."""
    return UUID(int=random.getrandbits(128), version=4)


def _bytes_json(body: bytes) -> str:
    """Bytes in JSON as kombu writes and reads them: text where they are UTF-8, else base64."""
    try:
        marker, text = "bytes", body.decode()
    except UnicodeDecodeError:
        marker, text = "base64", b64encode(body).decode()
    return f'{{"__type__": "{marker}", "__value__": {json.dumps(text)}}}'


@cache
def _envelope(task: str, queue: str, priority: int = 0) -> Envelope:
    return Envelope(task, queue, priority)


def _published(task: str, queue: str) -> dict[str, Any]:
    """What Celery puts on ``queue``, caught in memory.

    Below ``apply_async``, where neither the task that happens to be running nor Sentry leaves a trace in it.
    """
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(settings()) | {"broker_use_ssl": None})
    # By itself Celery writes the process in, and no two processes would write a dead letter's message alike
    shown = {"argsrepr": _SHOWN, "kwargsrepr": "{}", "origin": ORIGIN}
    ignored = app.conf.task_ignore_result
    built = app.amqp.create_task_message(_ID, task, [_ARGUMENTS], {}, ignore_result=ignored, **shown)
    with app.connection_for_write("memory://") as connection, app.amqp.Producer(connection) as producer:
        app.amqp.send_task_message(producer, task, built, queue=queue)
        channel: Any = producer.channel
        message: dict[str, Any] = channel._get(queue)
    return message
