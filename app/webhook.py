"""The endpoint that Meta calls: the signature, then intake, then 200. Nothing is parsed here.

Meta takes 200 as "yours now" and anything else as "send it again", for seven days.
"""

from flask import Blueprint, Request, Response, request
from flask.globals import request_ctx
from prometheus_client import Counter
from werkzeug.exceptions import RequestEntityTooLarge

from app import intake, signature
from app.rejections import Rejections
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

blueprint = Blueprint("webhook", __name__)
answers = Counter("neverdrop_webhook_answers", "Answers to POST /webhook by HTTP status", ["status"])
_counted = {status: answers.labels(status) for status in (200, 401, 413, 503)}
rejections = Rejections()


@blueprint.get("/webhook", provide_automatic_options=False)
def verify() -> Response:
    """Meta's check that this endpoint is ours; it carries no signature."""
    challenge = request.args.get("hub.challenge", "")
    if (
        request.args.get("hub.mode") != "subscribe"
        or not signature.verify_token(request.args.get("hub.verify_token"), settings().verify_tokens)
        or len(challenge) > MAX_CHALLENGE_LENGTH
    ):
        return _rejected("verify_token", WRONG_TOKEN, 403)
    return _plain(challenge, 200)


@blueprint.post("/webhook", provide_automatic_options=False)
def receive() -> Response:
    """200 with an empty body means stored; 401, 413 and 503 mean that it is not."""
    response = _receive(request_ctx.request)
    _counted[response.status_code].inc()
    return response


def _receive(post: Request) -> Response:
    try:
        body = _body(post)
    except RequestEntityTooLarge:
        return _rejected("too_large", TOO_LARGE, 413)
    if not signature.verify(body, post.headers.get(signature.HEADER), settings().app_secrets):
        return _rejected("signature", WRONG_SIGNATURE, 401)
    try:
        intake.accept(body)
    except intake.Unavailable:
        refusal = _rejected("unavailable", NOT_STORED, 503)
        refusal.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return refusal
    return STORED


def _body(post: Request) -> bytes:
    """The raw bytes, read once; RequestEntityTooLarge if there are too many."""
    post.max_content_length = MAX_BODY_BYTES + 1  # a body of no announced length is cut off there
    body = post.get_data(cache=False)
    if len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return body


def _rejected(reason: str, text: str, status: int) -> Response:
    rejections.count(reason)
    return _plain(text, status)


def _plain(text: str, status: int) -> Response:
    response = Response(text, status, mimetype="text/plain")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


STORED = _plain("", 200)  # one for all requests: nothing may be changed in it
