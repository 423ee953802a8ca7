"""What an answer of Graph's says about a send."""

import json

import pytest

from app.graph.answers import Accepted, NotSent, Unknown, read
from app.graph.codes import Remedy


def test_an_accepted_message_has_its_id() -> None:
    body = json.dumps({"messages": [{"id": "wamid.X", "message_status": "accepted"}]}).encode()
    assert read(200, body) == Accepted("wamid.X")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
def test_the_code_decides_and_not_the_http_status(status: int) -> None:
    body = json.dumps({"error": {"code": 130429, "message": "Rate limit hit"}}).encode()
    found = read(status, body)
    assert isinstance(found, NotSent)
    assert (found.remedy, found.code) == (Remedy.THROTTLE, 130429)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"{}"), (200, b'{"messages": []}'), (200, b"<html>"), (201, b'{"messages": [{"id": ""}]}'),
     (500, b"Internal Server Error"), (502, b""), (503, b'{"error": "oops"}'), (504, b"[" * 100_000), (302, b"")],
)  # fmt: skip
def test_what_says_nothing_is_unknown(status: int, body: bytes) -> None:
    assert isinstance(read(status, body), Unknown)


def test_a_refusal_without_metas_json_is_surely_not_sent() -> None:
    assert read(404, b"<html>") == NotSent(Remedy.DEAD, "HTTP 404 without an error of Meta's")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), (None, None), ("Wed, 21 Oct 2026", None), ("-1", 0.0), ("inf", 3600.0), ("1e999", 3600.0),
     ("nan", None)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds(header: str | None, seconds: float | None) -> None:
    found = read(429, b"", header)
    assert isinstance(found, NotSent)
    assert (found.remedy, found.retry_after_seconds) == (Remedy.THROTTLE, seconds)


def test_an_error_is_kept_in_a_form_that_postgres_takes() -> None:
    body = rb'{"error": {"code": 100, "message": "a\u0000b\ud800", "error_data": {"details": "more"}}}'
    found = read(400, body)
    assert isinstance(found, NotSent)
    assert found.error == "(100) a\ufffdb? more"


@pytest.mark.parametrize("code", [2**31, -1, 10**30])
def test_a_code_that_no_column_holds_says_nothing(code: int) -> None:
    """Else what came back could not be recorded, nor all that came back beside it."""
    assert isinstance(read(500, json.dumps({"error": {"code": code}}).encode()), Unknown)
