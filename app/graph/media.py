"""Download what a user sent: Meta gives an address that lives for five minutes, asked for with the media's id."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx

from app.errors import Permanent, RetryAfter
from app.graph.client import CONNECT_SECONDS, base_url, headers, token_for
from config.settings import settings

READ_SECONDS = 30.0
CHUNK_BYTES = 64 * 1024
GONE = (400, 404, 410)


class MediaGone(Permanent):
    """Meta has the media no more: seven days after the message, or the user deleted it."""


class MediaTooLarge(Permanent):
    """The media is larger than MEDIA_MAX_BYTES."""


@cache
def downloader() -> httpx.Client:
    """The client of handlers for media; a redirect would take the token along."""
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)


@contextmanager
def download(number: str, media_id: str) -> Iterator[Iterator[bytes]]:
    """Yield the media's bytes, chunk by chunk.

    MediaGone and MediaTooLarge end the event; RetryAfter and httpx.HTTPError are tried again. NoToken without a token.
    """
    address = _address(number, media_id)
    with downloader().stream("GET", address, headers=headers(token_for(number))) as answer:
        _check(answer, media_id)
        yield _bounded(answer, media_id)


def _address(number: str, media_id: str) -> str:
    url = f"{base_url()}/{media_id}"
    answer = downloader().get(url, params={"phone_number_id": number}, headers=headers(token_for(number)))
    _check(answer, media_id)
    found: Any = answer.json()
    address = found.get("url") if isinstance(found, dict) else None
    if not isinstance(address, str):
        raise RetryAfter(5, f"Meta named no address for the media {media_id}")
    scheme = settings().whatsapp_api_url.partition("://")[0]
    if not address.startswith(f"{scheme}://"):  # the token goes there: never in the clear
        raise MediaGone(f"Meta named an address for the media {media_id} that is not {scheme}")
    return address


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
