"""A body without the signature of one of the app's secrets is refused and leaves no trace."""

import hmac

import pytest

from app.stores.connections import redis
from app.stores.redis_keys import JOURNAL
from app.web.signature import HEADER
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, message
from tests.helpers.factories import signed


def forgeries(sent: Item) -> list[tuple[bytes, dict[str, str]]]:
    """Bodies that the app's secret has not signed, with their headers."""
    request = signed(sent.content)
    right = request.headers[HEADER]
    foreign = hmac.new(b"another secret", request.body, "sha256").hexdigest()
    return [
        (request.body, {}),
        (request.body, {HEADER: ""}),
        (request.body, {HEADER: f"sha256={foreign}"}),
        (request.body, {HEADER: right.removeprefix("sha256=")}),
        (request.body, {HEADER: right[:-1]}),
        (request.body, {"X-Hub-Signature": f"sha1={right}"}),
        (request.body + b" ", {HEADER: right}),
        (request.body.replace(b"number", b"Number"), {HEADER: right}),
    ]


@pytest.mark.parametrize("redis_is_there", [True, False])
def test_what_is_not_signed_is_refused_by_both_stores(pipeline: Pipeline, redis_is_there: bool) -> None:
    if not redis_is_there:
        pipeline.stack.kill("valkey")
    sent = message()
    for content, headers in forgeries(sent):
        assert pipeline.stack.send(content, headers).status_code == 401
    if not redis_is_there:
        pipeline.stack.start("valkey")
    assert not redis().exists(JOURNAL)
    after = message()
    pipeline.accept([after])
    pipeline.assert_done_once([after])
    assert pipeline.states([sent]) == {}

    pipeline.accept([sent])
    pipeline.assert_done_once([sent])
