"""Calls to Meta's Graph API: one place for addresses, tokens and timeouts.

A client is opened once a process; nothing is sent again here, since only the outbox knows whether that is safe.
"""

import itertools
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from app.graph import double
from app.graph.answers import Answer, NotSent, Unknown, read
from app.graph.codes import Remedy
from config.settings import settings

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0  # below the time that a deploy leaves a sender
SIGNAL_SECONDS = 2.0  # typing and read marks: a handler waits for them
# A client looks through all its connections for each request, so several with few are faster than one with many
CLIENTS = 8
MAX_CONNECTIONS = 32  # of each
MIN_SECRET = 16  # characters; an app's id is public and may have so many too
# The request had not left when these were raised
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


class NoToken(Exception):
    """There is no access token for the number; the text says where to put one."""

    def __init__(self, number: str) -> None:
        super().__init__(
            f"no access token for the number {number}: set WHATSAPP_ACCESS_TOKEN, for several numbers as"
            " number=token,number=token; then replies that wait leave by themselves"
        )


def token_for(number: str) -> str:
    """Return the access token of a number; NoToken if there is none."""
    tokens = settings().access_tokens
    token = tokens.get(number) or tokens.get("")
    if not token:
        raise NoToken(number)
    return token


def messages_url(number: str) -> str:
    """The address that messages of a number are posted to."""
    return f"{base_url()}/{number}/messages"


@cache
def senders() -> "itertools.cycle[httpx.AsyncClient]":
    """The clients of the sender's event loop, in turn, with connections that are kept."""
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    context = httpx.create_ssl_context(trust_env=False)
    return itertools.cycle(
        [
            httpx.AsyncClient(
                timeout=timeout,
                limits=limits,
                verify=context,
                trust_env=False,
                follow_redirects=False,
                transport=double.transport(),
            )
            for _ in range(CLIENTS)
        ]
    )


async def close_senders() -> None:
    """Close the connections of the sender's event loop."""
    if senders.cache_info().currsize:
        for _, client in zip(range(CLIENTS), senders(), strict=False):
            await client.aclose()


@cache
def signaller() -> httpx.Client:
    """The client of handlers, for what goes out at once and may be lost."""
    return httpx.Client(
        timeout=SIGNAL_SECONDS, trust_env=False, follow_redirects=False, transport=double.transport()
    )


async def post(number: str, body: Mapping[str, Any]) -> Answer:
    """Send one message; every way in which that can end is an answer."""
    try:
        token = token_for(number)
    except NoToken as error:
        return NotSent(Remedy.STOP, str(error))
    try:
        answer = await next(senders()).post(messages_url(number), json=body, headers=headers(token))
    except NOT_SENT as error:
        return NotSent(Remedy.AGAIN, _words(error))
    except httpx.HTTPError as error:
        return Unknown(_words(error))
    content = without_token(answer.content, token)
    return read(answer.status_code, content, answer.headers.get("Retry-After"))


def signal(number: str, body: Mapping[str, Any]) -> None:
    """Send a read mark or typing indicator at once. NoToken or httpx.HTTPError where it did not arrive."""
    answer = signaller().post(messages_url(number), json=body, headers=headers(token_for(number)))
    answer.raise_for_status()


async def throughput_level(number: str) -> str | None:
    """Ask Meta how fast a number may send: STANDARD, HIGH, ...; None where the answer does not say."""
    try:
        url = f"{base_url()}/{number}"
        answer = await next(senders()).get(
            url, params={"fields": "throughput"}, headers=headers(token_for(number))
        )
        level = answer.json()["throughput"]["level"]
    except (NoToken, httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    return str(level)


def base_url() -> str:
    """Return Graph's address with its version."""
    known = settings()
    return f"{known.whatsapp_api_url.rstrip('/')}/{known.whatsapp_api_version}"


def headers(token: str) -> dict[str, str]:
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {token}"}


def without_token(content: bytes, token: str) -> bytes:
    """Return an answer without the token, which Meta quotes when it does not take it."""
    for secret in token.split("|"):  # an app's own is its id and its secret
        if len(secret) >= MIN_SECRET:
            content = content.replace(secret.encode(), b"...")
    return content


def _words(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _renew() -> None:
    senders.cache_clear()
    signaller.cache_clear()


def _reset() -> None:
    double.open_anew(signaller)
    senders.cache_clear()


os.register_at_fork(after_in_child=_renew)
double.when_changed(_reset)
