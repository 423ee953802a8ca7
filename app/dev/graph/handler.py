"""What the stand-in's endpoints share: its state, JSON, and refusals in Graph's form."""

import json
from typing import Any

from tornado import web

from app.dev.graph.stand_in import StandIn


class StandInHandler(web.RequestHandler):
    def initialize(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

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
        error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "stand-in", **more}
        self.set_status(status)
        self.finish({"error": error})

    def token_is_good(self) -> bool:
        """Return whether a token was given that has not expired; else answer 190."""
        if (
            self.request.headers.get("Authorization", "").startswith("Bearer ")
            and not self.stand_in.faults.token_expired
        ):
            return True
        self.refuse(401, 190, "Error validating access token: Session has expired")
        return False
