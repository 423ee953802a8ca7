"""What the stand-in's endpoints share: its state, JSON, and refusals in Graph's form."""

import json
from typing import Any
from urllib.parse import urlsplit

from tornado import web

from app.dev.graph import rules
from app.dev.graph.stand_in import StandIn

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")


class StandInHandler(web.RequestHandler):
    def initialize(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")

    def prepare(self) -> None:
        """Refuse what another site lets this machine's browser ask for: what is typed here is signed as if by Meta."""
        if self.request.host_name not in LOCAL_NAMES:
            raise web.HTTPError(403, reason="The stand-in answers to 127.0.0.1 and localhost")
        origin = self.request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.request.host:
            raise web.HTTPError(403, reason="Another site may not use the stand-in")

    def log_exception(
        self, *args: Any
    ) -> None:  # tornado's traceback would only repeat what the caller is told
        if args[0] is not None and not issubclass(args[0], web.HTTPError):
            super().log_exception(*args)

    def json_body(self) -> dict[str, Any]:
        """Return the request's JSON object; 400 for anything else."""
        try:
            content = json.loads(self.request.body)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise web.HTTPError(400, "not a JSON object")
        return content

    def refuse(self, status: int, code: int, message: str, **more: Any) -> None:
        """Answer as Graph refuses."""
        self.set_status(status)
        self.finish(rules.refusal(code, message, **more))

    def token_is_good(self) -> bool:
        """Return whether a token was given that has not expired; else answer 190."""
        if (
            self.request.headers.get("Authorization", "").startswith("Bearer ")
            and not self.stand_in.faults.token_expired
        ):
            return True
        self.refuse(401, 190, "Error validating access token: Session has expired")
        return False
