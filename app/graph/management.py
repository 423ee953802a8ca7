"""Meta's Graph API, as far as an app, its accounts and its numbers go: what is asked, and what is set.

Which calls exist: POST and GET /<app>/subscriptions (with an app token), /<account>/subscribed_apps, GET /debug_token,
/<account>/phone_numbers, and ``health_status`` of a number.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from app.errors import NeverdropError
from app.graph import double
from app.graph.client import base_url, headers, without_token
from config.control_characters import printable

ANSWER_SECONDS = 20.0  # Meta asks our endpoint before it answers a change of the callback URL
MAX_PAGES = 20
OBJECT = "whatsapp_business_account"


class GraphRefusal(NeverdropError):
    """Graph did not do what it was asked; ``code`` is Meta's, None where it did not answer."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(printable(text))
        self.code = code


@cache
def _client() -> httpx.Client:
    return httpx.Client(
        timeout=ANSWER_SECONDS, trust_env=False, follow_redirects=False, transport=double.transport()
    )


double.when_changed(lambda: double.open_anew(_client))


def get(path: str, token: str, **query: str) -> dict[str, Any]:
    """Return what Graph says of a path; GraphRefusal with its words."""
    return _call("GET", path, token, query)


def get_all(path: str, token: str, **query: str) -> list[dict[str, Any]]:
    """Return the rows of every page."""
    rows: list[dict[str, Any]] = []
    after = ""
    for _ in range(MAX_PAGES):
        answer = get(path, token, **query, **({"after": after} if after else {}))
        data = answer.get("data")
        rows += [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
        paging = answer.get("paging")
        cursors = paging.get("cursors") if isinstance(paging, dict) and paging.get("next") else None
        after = str(cursors.get("after") or "") if isinstance(cursors, dict) else ""
        if not after:
            break
    return rows


def post(path: str, token: str, values: Mapping[str, str]) -> None:
    """Set something; GraphRefusal with Graph's words."""
    _call("POST", path, token, values)


def app_token(app_id: str, secret: str) -> str:
    """Return the token of an app itself: by it the app's subscriptions are read and set."""
    return f"{app_id}|{secret}"


def _call(method: str, path: str, token: str, values: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {"params": dict(values)} if method == "GET" else {"data": dict(values)}
    try:
        answer = _client().request(method, f"{base_url()}/{path}", headers=headers(token), **given)
    except httpx.HTTPError as error:
        raise GraphRefusal(f"Graph does not answer: {type(error).__name__} {error}".rstrip()) from error
    try:
        content = json.loads(without_token(answer.content, token))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise GraphRefusal(f"Graph answered HTTP {answer.status_code} without JSON")
    if isinstance(refused := content.get("error"), dict):
        code = refused.get("code")
        words = f"({code}) {refused.get('message') or 'no message'}"
        raise GraphRefusal(words, code if isinstance(code, int) else None)
    return content
