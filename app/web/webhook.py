"""The endpoint that Meta calls: verify the signature, store the body, answer 200. Nothing is parsed here.

Meta resends whatever is not answered with 200, for up to seven days.
"""

import time

from flask import Blueprint, Response, request
from flask.globals import request_ctx
from prometheus_client import Counter, Histogram

from app.intake import Unavailable, store_body
from app.web import signature
from app.web.gateway import deferred
from app.web.rejections import Rejections
from config.settings import settings

MAX_BODY_BYTES = 3 * 1024 * 1024 + 64 * 1024  # Meta says up to 3 MB; the rest is margin
MAX_CHALLENGE_LENGTH = 256
RETRY_AFTER_SECONDS = 5

WRONG_SIGNATURE = (
    f"The {signature.HEADER} header is missing or does not match the body. WHATSAPP_APP_SECRET must be the "
    "secret of the Meta app that posts here (App settings > Basic); nothing on the way may change the body.\n"
)
WRONG_TOKEN = "hub.verify_token is not one of WHATSAPP_VERIFY_TOKEN.\n"  # noqa: S105
TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES} bytes.\n"
NOT_STORED = "The webhook could not be stored; send it again.\n"

# Meta asks for a median below 250 ms and fewer than 1 % above 1 s
BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

blueprint = Blueprint("webhook", __name__)
seconds = Histogram(
    "neverdrop_webhook_seconds",
    "From a request that has arrived in full to its answer",
    buckets=BUCKETS_SECONDS,
)
answers = Counter("neverdrop_webhook_answers", "Answers to POST /webhook by HTTP status", ["status"])
_counted = {status: answers.labels(status) for status in (200, 401, 413, 503)}
rejections = Rejections()


@blueprint.get("/webhook", provide_automatic_options=False)
@blueprint.get("/webhook/", provide_automatic_options=False)
def verify() -> Response:
    """Answer Meta's check that this endpoint is ours; it has no signature."""
    challenge = request.args.get("hub.challenge", "")
    if (
        request.args.get("hub.mode") != "subscribe"
        or not signature.verify_token(request.args.get("hub.verify_token"), settings().verify_tokens)
        or len(challenge) > MAX_CHALLENGE_LENGTH
    ):
        return _rejected("verify_token", WRONG_TOKEN, 403)
    return _plain(challenge, 200)


@blueprint.post("/webhook", provide_automatic_options=False)
@blueprint.post("/webhook/", provide_automatic_options=False)
def receive() -> Response:
    """Store the body and answer 200; 401, 413 or 503 mean that it is not stored. Never blocks."""
    began = time.perf_counter()
    post = request_ctx.request  # not the proxy ``flask.request``, which looks it up at each use
    body = post.environ["wsgi.input"].read()  # complete, see the gateway
    if len(body) > MAX_BODY_BYTES:
        return _answered(_rejected("too_large", TOO_LARGE, 413), began)
    if not signature.verify(body, post.headers.get(signature.HEADER), settings().app_secrets):
        return _answered(_rejected("signature", WRONG_SIGNATURE, 401), began)
    return deferred(post, _store(body, began))


async def _store(body: bytes, began: float) -> Response:
    try:
        await store_body(body)
    except Unavailable:
        refusal = _rejected("unavailable", NOT_STORED, 503)
        refusal.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return _answered(refusal, began)
    return _answered(STORED, began)


def _answered(response: Response, began: float) -> Response:
    """Count and time the response; ``began`` is from ``time.perf_counter``."""
    _counted[response.status_code].inc()
    seconds.observe(time.perf_counter() - began)
    return response


def _rejected(reason: str, text: str, status: int) -> Response:
    rejections.count(reason)
    return _plain(text, status)


def _plain(text: str, status: int) -> Response:
    response = Response(text, status, mimetype="text/plain")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


STORED = _plain("", 200)  # shared by all requests: never changed
