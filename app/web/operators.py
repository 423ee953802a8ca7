"""Whether a request may see what is for operators: numbers of the backlog, and which store answers."""

from hmac import compare_digest

from flask import Request

from config.settings import Settings

SCHEME = "Bearer "


def may_see(request: Request, settings: Settings) -> bool:
    """Whether the request carries METRICS_TOKEN; without a token all may in development, nobody in production."""
    token = settings.metrics_token.get_secret_value()
    if not token:
        return settings.neverdrop_env == "development"
    given = request.headers.get("Authorization", "").encode("latin-1", "replace")
    return compare_digest(given, SCHEME.encode() + token.encode())
