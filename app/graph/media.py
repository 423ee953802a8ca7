"""Download what a user sent: Meta gives an address that lives for five minutes, asked for with the media's id."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from app.errors import Permanent, RetryAfter
from app.graph import double
from app.graph.client import CONNECT_SECONDS, base_url, headers, token_for
from config.settings import settings

READ_SECONDS = 30.0
CHUNK_BYTES = 64 * 1024
GONE = (400, 404, 410)
HOSTS = ("fbsbx.com", "fbcdn.net", "whatsapp.net", "facebook.com")  # Meta's, where its media are


class MediaGone(Permanent):
    """Meta has the media no more: seven days after the message, or the user deleted it."""


class MediaRefused(Permanent):
    """The media's address is not one that the token may be sent to."""


class MediaTooLarge(Permanent):
    """The media is larger than MEDIA_MAX_BYTES."""


@cache
def downloader() -> httpx.Client:
    """The client of handlers for media; a redirect would take the token along."""
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(
        timeout=timeout, trust_env=False, follow_redirects=False, transport=double.transport()
    )


double.when_changed(lambda: double.open_anew(downloader))


@contextmanager
def download(number: str, media_id: str) -> Iterator[Iterator[bytes]]:
    """Yield the media's bytes, chunk by chunk.

    MediaGone, MediaRefused and MediaTooLarge end the event; RetryAfter and httpx.HTTPError are tried
    again. NoToken without a token.
    """
    address = _address(number, media_id)
    with downloader().stream("GET", address, headers=headers(token_for(number))) as answer:
        _check(answer, media_id)
        yield _bounded(answer, media_id)


def _address(number: str, media_id: str) -> str:
    url = f"{base_url()}/{quote(media_id, safe='')}"
    answer = downloader().get(url, params={"phone_number_id": number}, headers=headers(token_for(number)))
    _check(answer, media_id)
    found: Any = answer.json()
    address = found.get("url") if isinstance(found, dict) else None
    if not isinstance(address, str):
        raise RetryAfter(5, f"Meta named no address for the media {media_id}")
    _check_address(address, media_id)
    return address


def _check_address(address: str, media_id: str) -> None:
    """Raise MediaRefused for an address that must not get the token, and that nobody should be led to ask."""
    graph = urlsplit(settings().whatsapp_api_url)
    try:
        given = urlsplit(address)
        host, port = given.hostname or "", given.port
    except ValueError as error:
        raise MediaRefused(f"Graph named no address for the media {media_id} that can be read") from error
    if given.scheme != graph.scheme or given.username is not None:
        raise MediaRefused(
            f"Graph named an address for the media {media_id} that is not plainly {graph.scheme}"
        )
    if host == graph.hostname and port == graph.port:
        return
    if port is not None or not any(host == each or host.endswith(f".{each}") for each in HOSTS):
        raise MediaRefused(
            f"Graph named {host} for the media {media_id}, which is not Meta's: the token is not sent there"
        )


def _check(answer: httpx.Response, media_id: str) -> None:
    if answer.status_code in GONE:
        raise MediaGone(f"Meta does not have the media {media_id} any more (HTTP {answer.status_code})")
    if answer.status_code in (401, 403, 429):
        raise RetryAfter(30, f"Meta refused the media {media_id} for now (HTTP {answer.status_code})")
    answer.raise_for_status()


def _bounded(answer: httpx.Response, media_id: str) -> Iterator[bytes]:
    size = 0
    for chunk in answer.iter_bytes(CHUNK_BYTES):
        size += len(chunk)
        if size > settings().media_max_bytes:
            raise MediaTooLarge(f"the media {media_id} is larger than MEDIA_MAX_BYTES")
        yield chunk
