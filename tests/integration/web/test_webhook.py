"""``/webhook`` as Meta calls it: verified by token, signed by secret, answered only when stored."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select
from werkzeug.test import Client

from app.dev.processes.children import Records, end, start
from app.dev.stack.embedded import free_port
from app.dev.stack.programs import web as web_program
from app.intake import accept as intake
from app.intake import fallback_store, primary_store
from app.stores import connections
from app.stores.models import Delivery
from app.stores.redis_keys import JOURNAL
from app.web.webhook import MAX_BODY_BYTES, MAX_CHALLENGE_LENGTH
from tests.conftest import APP_SECRET, VERIFY_TOKEN
from tests.helpers import loop
from tests.helpers.factories import Signed, body, messages, signed, text_message

START_SECONDS = 60
NEW_SECRET = "test-app-secret-after-the-rotation"
SUBSCRIBE = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}


@pytest.fixture
def client(env: Callable[..., Any]) -> Iterator[Client]:
    """The routes of a web process on the test's stores."""
    intake.process_intake.cache_clear()
    primary_store._durability_checked.clear()
    yield loop.client()
    intake.process_intake.cache_clear()
    if connections.web_engine.cache_info().currsize:
        connections.web_engine().dispose()


def a_message(secret: str = APP_SECRET) -> Signed:
    return signed(body(messages(text_message("olá / hello", sender=1))), secret)


def post(client: Client, posted: Signed, **headers: str) -> Any:
    return client.post("/webhook", data=posted.body, headers={**posted.headers, **headers})


def journal() -> list[bytes]:
    return list(connections.redis().hvals(JOURNAL))  # type: ignore[arg-type]


def stored() -> list[bytes]:
    """By whichever store: on a busy machine a large body may take longer than Redis is waited for, then by both."""
    kept = {id_.decode(): body for id_, body in connections.redis().hgetall(JOURNAL).items()}
    with connections.engine().connect() as connection:
        rows = connection.execute(select(Delivery.id, Delivery.body))
        return list({**kept, **{str(id_): bytes(body or b"") for id_, body in rows}}.values())


def test_a_signed_body_is_stored_as_it_came_and_answered_with_nothing(client: Client) -> None:
    posted = a_message()
    response = post(client, posted)
    assert (response.status_code, response.data) == (200, b"")
    assert stored() == [posted.body]


@pytest.mark.parametrize("content", [b"", b"no JSON", b"\xff\x00", b"[1,2", b"x" * 3 * 1024 * 1024])
def test_any_signed_bytes_are_stored(client: Client, content: bytes) -> None:
    assert post(client, signed(content, APP_SECRET)).status_code == 200
    assert stored() == [content]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_the_content_type_does_not_matter(client: Client, content_type: str) -> None:
    posted = a_message()
    assert post(client, posted, **{"Content-Type": content_type}).status_code == 200
    assert stored() == [posted.body]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": a_message("another secret").headers["X-Hub-Signature-256"]},
        {"X-Hub-Signature": a_message().headers["X-Hub-Signature-256"]},
        {"X-Hub-Signature": "sha1=" + "0" * 40},
    ],
)
def test_without_the_right_signature_nothing_gets_in(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/webhook", data=a_message().body, headers=headers)
    assert response.status_code == 401
    assert "WHATSAPP_APP_SECRET" in response.text
    assert journal() == []


def test_two_secrets_are_valid_during_a_rotation(client: Client, env: Callable[..., Any]) -> None:
    env(WHATSAPP_APP_SECRET=f"{APP_SECRET}, {NEW_SECRET}")
    assert post(client, a_message(APP_SECRET)).status_code == 200
    assert post(client, a_message(NEW_SECRET)).status_code == 200
    env(WHATSAPP_APP_SECRET=NEW_SECRET)
    assert post(client, a_message(APP_SECRET)).status_code == 401


def test_a_body_above_the_limit_is_refused(client: Client) -> None:
    assert post(client, signed(b"x" * MAX_BODY_BYTES, APP_SECRET)).status_code == 200
    assert post(client, signed(b"x" * (MAX_BODY_BYTES + 1), APP_SECRET)).status_code == 413
    assert len(stored()) == 1


def test_every_answer_to_a_webhook_and_to_nothing_else_is_timed(client: Client) -> None:
    before = timed()
    post(client, a_message())
    post(client, a_message("another secret"))
    client.get("/healthz")
    assert timed() == before + 2


def timed() -> float:
    return REGISTRY.get_sample_value("neverdrop_webhook_seconds_count") or 0


def test_when_neither_store_takes_it_meta_is_asked_to_send_it_again(
    client: Client, env: Callable[..., Any]
) -> None:
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    response = post(client, a_message())
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_the_challenge_is_echoed_as_plain_text(client: Client) -> None:
    response = client.get("/webhook", query_string=SUBSCRIBE)
    assert (response.status_code, response.text) == (200, "1158201444")
    assert response.mimetype == "text/plain"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_markup_in_a_challenge_stays_text(client: Client) -> None:
    response = client.get("/webhook", query_string=SUBSCRIBE | {"hub.challenge": "<script>é</script>"})
    assert (response.text, response.mimetype) == ("<script>é</script>", "text/plain")


def test_any_of_several_verify_tokens_is_enough(client: Client, env: Callable[..., Any]) -> None:
    env(WHATSAPP_VERIFY_TOKEN=f"other, {VERIFY_TOKEN}")
    for token in ("other", VERIFY_TOKEN):
        assert client.get("/webhook", query_string=SUBSCRIBE | {"hub.verify_token": token}).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"hub.verify_token": "wrong"},
        {"hub.verify_token": ""},
        {"hub.verify_token": None},
        {"hub.mode": "unsubscribe"},
        {"hub.mode": None},
        {"hub.challenge": "1" * (MAX_CHALLENGE_LENGTH + 1)},
    ],
)
def test_any_other_verification_is_refused(client: Client, changed: dict[str, str | None]) -> None:
    query = {name: value for name, value in (SUBSCRIBE | changed).items() if value is not None}
    response = client.get("/webhook", query_string=query)
    assert response.status_code == 403
    assert "1158201444" not in response.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_not_allowed(client: Client, method: str) -> None:
    assert client.open("/webhook", method=method).status_code == 405


def test_head_answers_as_get_does_without_a_body(client: Client) -> None:
    response = client.head("/webhook", query_string=SUBSCRIBE)
    assert (response.status_code, response.data) == (200, b"")
    assert client.head("/webhook").status_code == 403


def test_alive_asks_no_store(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primary_store, "ping", None)
    monkeypatch.setattr(fallback_store, "ping", None)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("away", "status"),
    [
        ((), 200),
        (("redis",), 200),
        (("postgres",), 200),
        (("redis", "postgres"), 503),
    ],
)
def test_ready_means_that_one_store_answers(
    client: Client, env: Callable[..., Any], away: tuple[str, ...], status: int
) -> None:
    nowhere = {
        "redis": {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"},
        "postgres": {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
    }
    for store in away:
        env(**nowhere[store])
    response = client.get("/readyz")
    assert response.status_code == status
    assert response.json == {
        "ready": status == 200,
        "redis": "redis" not in away,
        "postgres": "postgres" not in away,
    }


@pytest.fixture
def port(env: Callable[..., Any], tmp_path: Path) -> Iterator[int]:
    """A web process as it runs in production, on the test's stores."""
    number = free_port()
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        running = start(web_program(number), Records(tmp_path / "processes"), output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_alive(number):
            assert running.alive, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield number
    finally:
        end([running])


def is_alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_server_bounds_bodies_in_chunks_and_refuses_one_that_breaks_off(port: int) -> None:
    url = f"http://127.0.0.1:{port}/webhook"
    largest = signed(b"x" * MAX_BODY_BYTES, APP_SECRET)
    too_large = signed(b"x" * (MAX_BODY_BYTES + 1), APP_SECRET)
    for posted, status in ((largest, 200), (too_large, 413)):
        whole = httpx.post(url, content=posted.body, headers=posted.headers)
        in_chunks = httpx.post(url, content=chunks(posted.body), headers=posted.headers)
        assert (whole.status_code, in_chunks.status_code) == (status, status)
    assert b" 200 " not in post_in_part(port, a_message())
    assert is_alive(port)
    assert stored() == [largest.body] * 2


def chunks(content: bytes) -> Iterator[bytes]:
    yield from (content[at : at + 100_000] for at in range(0, len(content), 100_000))


def post_in_part(port: int, posted: Signed) -> bytes:
    """The answer to a request that ends one byte before its announced length."""
    head = (
        "POST /webhook HTTP/1.1\r\nHost: test\r\n"
        f"X-Hub-Signature-256: {posted.headers['X-Hub-Signature-256']}\r\n"
        f"Content-Length: {len(posted.body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as connection:
        connection.sendall(head.encode() + posted.body[:-1])
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1000)
