"""Do from here what Meta does from outside: the handshake, a post without a signature, a signed delivery."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Engine, text

from app.doctor.finding import Finding
from app.payload import parse
from config.settings import SELF_CHECK_FIELD

ANSWER_SECONDS = 20.0  # as long as Meta waits
MAX_ANSWER_BYTES = 64 * 1024  # what is at the address may be anything
DONE_SECONDS = 60.0
LOOK_SECONDS = 0.2
STATE = text("SELECT state, handler, error FROM event_jobs WHERE key = :key ORDER BY id LIMIT 1")
ENDED = {"done": "", "unhandled": "no worker ran it: HANDLERS is not set where ingest runs"}


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery went: what is wrong, and how long each part took."""

    findings: tuple[Finding, ...]
    answer_seconds: float | None = None
    done_seconds: float | None = None


def handshake(url: str, token: str) -> str | None:
    """Ask as Meta asks when a callback URL is set; return what is wrong with the answer, None for nothing."""
    challenge = str(secrets.randbelow(10**9))
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    try:
        answer = _request("GET", url, params=query)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _words(error)
    if answer.status_code == 403:
        return "403: it takes another WHATSAPP_VERIFY_TOKEN, or something before it refuses"
    if answer.status_code != 200:
        return f"HTTP {answer.status_code} instead of 200"
    return (
        None
        if answer.text.strip() == challenge
        else "200, but not with the challenge: is it another program?"
    )


def unsigned(url: str) -> Finding | None:
    """Post what nobody signed, which must be refused; return a finding where it is not."""
    try:
        status = _request("POST", url, content=b"{}").status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None  # the handshake says it
    if status == 401:
        return None
    return Finding(
        "unsigned",
        f"{url} answered a post without a signature with HTTP {status} instead of 401",
        "what answers is not Neverdrop's web, or something before it answers in its place",
        "let the address lead to web's /webhook, with the body and its headers unchanged",
    )


def deliver(url: str, secret: bytes, engine: Engine, progress: Callable[[str], object]) -> Delivered:
    """Post a signed delivery that only our own handler takes, and wait until it is done."""
    from app.web import (  # workers examine stores when they start, and have no use for a web server
        HEADER,
        sign,
    )

    body = _body()
    key = parse(body).events[0].key
    began = time.monotonic()
    try:
        headers = {HEADER: sign(body, secret), "Content-Type": "application/json"}
        status = _request("POST", url, content=body, headers=headers).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Delivered((_not_taken(url, _words(error)),))
    answered = time.monotonic() - began
    if status != 200:
        words = f"HTTP {status}" + (": it has another WHATSAPP_APP_SECRET" if status == 401 else "")
        return Delivered((_not_taken(url, words),), answered)
    progress(f"answered in {answered * 1000:.0f} ms")
    state, where = _wait(engine, key, began + DONE_SECONDS)
    if state == "done":
        return Delivered((), answered, time.monotonic() - began)
    finding = Finding(
        "deliver",
        f"a delivery was answered with 200, and after {DONE_SECONDS:.0f} s it {where}",
        "so does what Meta sends",
        "see what the other findings say of ingest and workers; `neverdrop status`",
    )
    return Delivered((finding,), answered)


def _wait(engine: Engine, key: str, until: float) -> tuple[str, str]:
    """Return the state in which the event ends, or where it stands at last."""
    state, where = "", "is not in the tables: no ingest splits it, or DATABASE_URL here is another database"
    while time.monotonic() < until:
        with engine.connect() as connection:
            row = connection.execute(STATE, {"key": key}).first()
        if row is not None:
            state, where = (
                row.state,
                f"is {row.state}: {ENDED.get(row.state) or row.error or 'no worker runs it'}",
            )
            if state != "pending":
                break
        time.sleep(LOOK_SECONDS)
    return state, where


def _body() -> bytes:
    value = {"id": secrets.token_hex(8)}
    change: dict[str, Any] = {"field": SELF_CHECK_FIELD, "value": value}
    entry = {"id": "0", "time": int(time.time()), "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def _not_taken(url: str, words: str) -> Finding:
    return Finding(
        "deliver",
        f"{url} did not take a signed delivery: {words}",
        "Meta repeats for 7 days what is not answered with 200, then it is lost",
        "start web, or put right what stands before it; the secret must be the same here and there",
    )


def _request(method: str, url: str, headers: Mapping[str, str] | None = None, **given: Any) -> httpx.Response:
    """Ask, and return the answer with what of its body came in time, MAX_ANSWER_BYTES at most and not unpacked."""
    ends_at = time.monotonic() + ANSWER_SECONDS
    headers = {**(headers or {}), "Accept-Encoding": "identity"}
    options = {"timeout": ANSWER_SECONDS, "trust_env": False, "follow_redirects": False, **given}
    content = bytearray()
    with httpx.stream(method, url, headers=headers, **options) as answer:
        for part in answer.iter_raw():
            content += part
            if len(content) >= MAX_ANSWER_BYTES or time.monotonic() > ends_at:
                break
    return httpx.Response(answer.status_code, content=bytes(content[:MAX_ANSWER_BYTES]))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
