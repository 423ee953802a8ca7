"""The page on which a person chats with the bot, and what it asks for and does."""

from base64 import b64decode
from importlib.resources import files
from typing import Any

from tornado import web

from app.dev.graph.app_setup import NUMBER
from app.dev.graph.chats import Chats
from app.dev.graph.faults import Faults
from app.dev.graph.handler import StandInHandler


class ChatPage(StandInHandler):
    """The page that a newcomer sees first."""

    def get(self) -> None:
        self.set_header(
            "Content-Security-Policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.finish(files(__package__ or "").joinpath("static/chat.html").read_text(encoding="utf-8"))


class ChatApi(StandInHandler):
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
                str(content["user"]), str(content.get("number", NUMBER)), self._item(content), from_bot=False
            )
            self.stand_in.spawn(self.stand_in.webhooks.message(sent))
            self.finish({"id": sent.id})
        else:
            raise web.HTTPError(405)

    def _item(self, content: dict[str, Any]) -> dict[str, Any]:
        return _with_media(content, self.stand_in.chats) if "media" in content else _incoming(content)


def _as_dict(faults: Faults) -> dict[str, Any]:
    return {name: getattr(faults, name) for name in Faults.__slots__}


def _with_media(content: dict[str, Any], chats: Chats) -> dict[str, Any]:
    """Return the item of a picture that a person sent."""
    given = content["media"]
    mime_type = str(given["mime_type"])
    id_ = chats.add_media(b64decode(given["data"]), mime_type)
    type_ = next((each for each in ("image", "video", "audio") if mime_type.startswith(each)), "document")
    item = {"id": id_, "mime_type": mime_type, "sha256": chats.media[id_].announced}
    if content.get("text"):
        item["caption"] = str(content["text"])
    return {"type": type_, type_: item}


def _incoming(content: dict[str, Any]) -> dict[str, Any]:
    """Return the item that Meta would send for what a person typed or tapped."""
    if "button" in content:
        reply = {"type": "button_reply", "button_reply": content["button"]}
        return {"type": "interactive", "interactive": reply}
    if "row" in content:
        return {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": content["row"]}}
    return {"type": "text", "text": {"body": str(content.get("text", ""))}}
