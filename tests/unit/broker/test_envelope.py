"""A message is what Celery itself would have sent, and says nothing about a person in its headers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.virtual import Message

from app.broker import envelope
from config.celery import (
    ADVANCE,
    CONVERSATIONS,
    DEAD_LETTERS,
    INGEST,
    RETRY_DEAD_LETTER,
    WEBHOOKS,
    celery_config,
)
from config.settings import load

DELIVERY = "01a209cd-e9ef-7a58-8588-aae9ccbcbcc0"
BODIES = [
    b"",
    b'{"text":"a\\u00e9\\/\\"b\\\\"}',
    "{'é': '\U0001f600'}".encode(),
    b"\xff\xfe not UTF-8 \x00",
    b"\xed\xa0\x80",  # a lone surrogate, as bytes
    b'{"__type__": "bytes", "__value__": "x"}',
    b"neverdrop-message-id neverdrop-arguments neverdrop-shown",
    bytes(range(256)) * 100,
]
# What is made afresh for each message, names the process that sent it, shows the arguments, or limits the time
OWN = {"id", "root_id", "origin", "correlation_id", "reply_to", "delivery_tag", "argsrepr", "timelimit"}


@pytest.fixture(scope="module", autouse=True)
def app() -> Iterator[Celery]:
    """A Celery app as the workers have it, but for its broker."""
    settings = load(neverdrop_env="development")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelope, "settings", lambda: settings)
        envelope._envelope.cache_clear()
        app = Celery(set_as_current=False)
        app.conf.update(celery_config(settings) | {"broker_url": "memory://"})
        yield app
        envelope._envelope.cache_clear()


@pytest.fixture(scope="module")
def applied(app: Celery) -> Callable[..., dict[str, Any]]:
    """The message that ``apply_async`` sends."""

    def apply(name: str, queue: str, arguments: list[Any]) -> dict[str, Any]:
        task = app.tasks.get(name) or app.task(name=name)(nothing)
        with app.connection_for_write() as connection:
            task.apply_async(arguments, queue=queue, connection=connection)
            message: dict[str, Any] = connection.default_channel._get(queue)
        return message

    return apply


@pytest.fixture(scope="module")
def arguments(app: Celery) -> Callable[[bytes], Any]:
    """What the task gets, by kombu's own decoding."""

    def decode(raw: bytes) -> Any:
        with app.connection_for_write() as connection:
            message = Message(
                json.loads(raw), channel=connection.default_channel, accept=["application/json"]
            )
            positional, keywords, _embedded = message.decode()
        assert keywords == {}
        return positional

    return decode


def nothing(*_: Any) -> None:
    """A task; it never runs."""


def common(message: dict[str, Any]) -> dict[str, Any]:
    """A message without its body and what is its own."""
    rest = {name: value for name, value in message.items() if name != "body"}
    for part in ("headers", "properties"):
        rest[part] = {name: value for name, value in message[part].items() if name not in OWN}
    return rest


def test_a_message_is_caught_in_memory_whatever_broker_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another application's variables: a message put on its queue, or ours, would be fetched by somebody."""
    expected = envelope._published(ADVANCE, CONVERSATIONS)
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    found = envelope._published(ADVANCE, CONVERSATIONS)
    assert (found["body"], found["headers"].keys()) == (expected["body"], expected["headers"].keys())


@pytest.mark.parametrize(
    ("rendered", "task", "queue", "args", "shown"),
    [
        (lambda: envelope.advance_message(17), ADVANCE, CONVERSATIONS, [17], "(17,)"),
        (
            lambda: envelope.retry_dead_letter_message(2**40),
            RETRY_DEAD_LETTER,
            DEAD_LETTERS,
            [2**40],
            f"({2**40},)",
        ),
        (
            lambda: envelope.ingest_message([(DELIVERY, body) for body in BODIES]),
            INGEST,
            WEBHOOKS,
            [[[DELIVERY, body] for body in BODIES]],
            envelope.SHOWN_BODIES,
        ),
    ],
)
def test_a_message_is_the_one_that_apply_async_sends(
    rendered: Callable[[], bytes],
    task: str,
    queue: str,
    args: list[Any],
    shown: str,
    applied: Callable[..., dict[str, Any]],
    arguments: Callable[[bytes], Any],
) -> None:
    ours, celerys = json.loads(rendered()), applied(task, queue, args)
    assert common(ours) == common(celerys)
    assert ours["body"] == celerys["body"]
    assert ours["headers"]["argsrepr"] == shown
    assert ours["headers"]["timelimit"] == [
        None,
        None,
    ]  # the worker's own: a limit sent along would go before it
    for part in ("headers", "properties"):
        assert ours[part].keys() == celerys[part].keys()
    assert arguments(rendered()) == args
    assert envelope.arguments_of(rendered()) == args


@given(st.lists(st.binary(), max_size=4))
def test_bodies_travel_byte_for_byte(arguments: Callable[[bytes], Any], bodies: list[bytes]) -> None:
    raw = envelope.ingest_message([(DELIVERY, body) for body in bodies])
    assert arguments(raw) == [[[DELIVERY, body] for body in bodies]]


def test_every_message_has_an_id_of_its_own() -> None:
    messages = [json.loads(envelope.advance_message(1)) for _ in range(3)]
    assert len({message["headers"]["id"] for message in messages}) == 3
    for message in messages:
        properties = message["properties"]
        ids = {message["headers"]["root_id"], properties["correlation_id"], properties["delivery_tag"]}
        assert ids == {message["headers"]["id"]}


def test_no_part_of_a_body_is_in_the_headers() -> None:
    message = json.loads(envelope.ingest_message([(DELIVERY, b'{"wa_id":"15550001111"}')]))
    assert message["headers"]["argsrepr"] == "(<bodies>,)"
    del message["body"]
    assert "15550001111" not in json.dumps(message)


def test_a_message_made_inside_a_task_does_not_belong_to_it(app: Celery) -> None:
    envelope._envelope.cache_clear()
    made: list[bytes] = []

    @app.task(name="caller")
    def caller() -> None:
        made.append(envelope.advance_message(1))

    caller.apply()
    headers = json.loads(made[0])["headers"]
    assert headers["parent_id"] is None
    assert headers["root_id"] == headers["id"]
