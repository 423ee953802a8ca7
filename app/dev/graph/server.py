"""The stand-in's HTTP: Graph's endpoints, and the page on which a person chats with the bot."""

import asyncio
import json
import time
from importlib.resources import files
from typing import Any

from tornado import web

from app.dev.graph.chats import LADDER, Chats
from app.dev.graph.faults import Faults
from app.dev.graph.webhooks import Webhooks

PORT = 8001
NUMBER = "106540352242922"  # the business's number in the chat page
TYPING_SECONDS = 25
STATUS_SECONDS = 0.05  # between two steps of the ladder
USER_ID_PREFIX = "."

RESERVED = ("messaging_product", "recipient_type", "to", "recipient", "biz_opaque_callback_data", "context")


class StandIn:
    """The state of one stand-in and its tornado application."""

    def __init__(self, webhook_url: str, secret: str, level: str = "HIGH") -> None:
        self.chats = Chats()
        self.faults = Faults()
        self.level = level
        self.webhooks = Webhooks(webhook_url, secret)
        self.posts = 0  # requests to /messages, whatever became of them
        self.read_marks = 0  # requests that mark a message as read, with typing or without
        self._tasks: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """Return what a tornado server serves."""
        routes: list[Any] = [
            (r"/v\d+\.\d+/(\d+)/messages", Messages),
            (r"/v\d+\.\d+/(\d+)", Number),
            (r"/", ChatPage),
            (r"/chat/(messages|send|faults)", ChatApi),
        ]
        return web.Application([(path, handler, {"stand_in": self}) for path, handler in routes])

    def spawn(self, coroutine: Any) -> None:
        """Run something beside the answer."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def climb(self, message: Any, first: int = 0) -> None:
        """Report the statuses of a message, one after the other."""
        ladder = LADDER if self.faults.read else LADDER[:2]
        failed = self.faults.failed and (message.order % 100) < self.faults.failed * 100
        for status in ladder[first:]:
            await asyncio.sleep(STATUS_SECONDS)
            if failed and status == "delivered":
                message.status = "failed"
                error = {"code": 131026, "title": "Message undeliverable"}
                await self.webhooks.status(message, "failed", [error])
                return
            message.status = status
            await self.webhooks.status(message, status)


class _Handler(web.RequestHandler):
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


class Number(_Handler):
    """GET /<version>/<phone_number_id>."""

    def get(self, number: str) -> None:
        if self.token_is_good():
            self.finish(
                {"id": number, "throughput": {"level": self.stand_in.level}, "quality_rating": "GREEN"}
            )


class Messages(_Handler):
    """POST /<version>/<phone_number_id>/messages."""

    async def post(self, number: str) -> None:
        stand_in = self.stand_in
        stand_in.posts += 1
        if not self.token_is_good():
            return
        content = self.json_body()
        if content.get("status") == "read":
            self._mark_read(content)
            return
        user = str(content.get("to") or content.get("recipient") or "").removeprefix("+")
        problem = _problem(content, user)
        if problem:
            self.refuse(400, 100, f"(#100) {problem}", error_data={"details": problem})
            return
        fault = stand_in.faults.draw()
        if self._refused(fault):
            return
        message = {name: value for name, value in content.items() if name not in RESERVED}
        sent = stand_in.chats.add(
            user, number, message, from_bot=True, callback=content.get("biz_opaque_callback_data")
        )
        if message["type"] == "reaction" and (
            target := stand_in.chats.by_id.get(message["reaction"]["message_id"])
        ):
            target.reactions = [message["reaction"]["emoji"]] if message["reaction"]["emoji"] else []
        await self._answer(sent, fault)

    async def _answer(self, sent: Any, fault: str | None) -> None:
        stand_in = self.stand_in
        if not stand_in.faults.no_status:
            if stand_in.faults.status_first:
                await stand_in.webhooks.status(sent, "sent")
            stand_in.spawn(stand_in.climb(sent, int(stand_in.faults.status_first)))
        if fault == "cut_off":
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        if fault == "bare_5xx_sent":
            self.set_status(503)
            await self.finish("upstream connect error")
            return
        if stand_in.faults.slow and (sent.order % 100) < stand_in.faults.slow * 100:
            await asyncio.sleep(stand_in.faults.slow_seconds)
        contact = {"input": sent.user, "wa_id": sent.user}
        await self.finish(
            {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": sent.id}]}
        )

    def _refused(self, fault: str | None) -> bool:
        if fault == "throttled":
            self.refuse(400, 130429, "(#130429) Rate limit hit")
        elif fault == "pair_limited":
            self.refuse(400, 131056, "(#131056) Pair rate limit hit")
        elif fault == "graph_5xx":
            self.refuse(500, 131000, "(#131000) Something went wrong", is_transient=True)
        elif fault == "bare_5xx":
            self.set_status(503)
            self.finish("no healthy upstream")
        else:
            return False
        return True

    def _mark_read(self, content: dict[str, Any]) -> None:
        self.stand_in.read_marks += 1
        message = self.stand_in.chats.by_id.get(str(content.get("message_id")))
        if message is not None:
            message.status = "read"
            if content.get("typing_indicator"):
                self.stand_in.chats.typing[message.user] = time.monotonic() + TYPING_SECONDS
        self.finish({"success": True})


def _problem(content: dict[str, Any], user: str) -> str | None:
    """Return what Meta would refuse a message for; None for a message that it takes."""
    if content.get("messaging_product") != "whatsapp":
        return "The parameter messaging_product is required."
    if not user:
        return "The parameter to is required."
    type_ = content.get("type", "text")
    part = content.get(type_) if isinstance(type_, str) else None
    if not isinstance(part, dict | list) or not part:
        return f"The parameter {type_} is required."
    if type_ == "text" and not (isinstance(part, dict) and 0 < len(str(part.get("body") or "")) <= 4096):
        return "Param text['body'] must be at most 4096 characters long."
    return None


class ChatPage(_Handler):
    """The page that a newcomer sees first."""

    def get(self) -> None:
        self.set_header(
            "Content-Security-Policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.finish(files(__package__ or "").joinpath("static/chat.html").read_text(encoding="utf-8"))


class ChatApi(_Handler):
    """What the page asks for and does."""

    def get(self, what: str) -> None:
        if what == "messages":
            user = self.get_argument("user", "")
            found = [each for each in self.stand_in.chats.after(0) if not user or each["user"] == user]
            self.finish(
                {"messages": found, "typing": self.stand_in.chats.types(user), "posts": self.stand_in.posts}
            )
        elif what == "faults":
            self.finish(_as_dict(self.stand_in.faults))
        else:
            raise web.HTTPError(405)

    def post(self, what: str) -> None:
        content = self.json_body()
        if what == "faults":
            try:
                self.stand_in.faults = self.stand_in.faults.changed(content)
            except (ValueError, TypeError) as error:
                raise web.HTTPError(400, reason=str(error)) from error
            self.finish(_as_dict(self.stand_in.faults))
        elif what == "send":
            sent = self.stand_in.chats.add(
                str(content["user"]), str(content.get("number", NUMBER)), _incoming(content), from_bot=False
            )
            self.stand_in.spawn(self.stand_in.webhooks.message(sent))
            self.finish({"id": sent.id})
        else:
            raise web.HTTPError(405)


def _as_dict(faults: Faults) -> dict[str, Any]:
    return {name: getattr(faults, name) for name in Faults.__slots__}


def _incoming(content: dict[str, Any]) -> dict[str, Any]:
    """Return the item that Meta would send for what a person typed or tapped."""
    if "button" in content:
        reply = {"type": "button_reply", "button_reply": content["button"]}
        return {"type": "interactive", "interactive": reply}
    if "row" in content:
        return {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": content["row"]}}
    return {"type": "text", "text": {"body": str(content.get("text", ""))}}
