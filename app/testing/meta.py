"""Meta, played in this process: it takes messages by its documented rules, and reports how far they got."""

import json
import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx

from app.dev.graph import LADDER, NUMBER, ChatMessage, Chats, bodies, rules

LEVEL = "HIGH"  # of throughput: no test is to wait for a rate


class Meta:
    """Who answers the bot's requests. ``at_send`` is called with ``before`` and ``after`` each message is taken."""

    def __init__(self) -> None:
        self.chats = Chats()
        self.signals: list[dict[str, Any]] = []  # read marks and typing indicators
        self.at_send: Callable[[str], None] = lambda _when: None
        self.refusals: deque[int] = deque()
        self._names: dict[str, str] = {}  # user → the name of the profile
        self._to_report: list[ChatMessage] = []  # taken, and their statuses not posted yet

    def next(self, *codes: int) -> None:
        """Have the next messages that the bot sends answered by these error codes of Meta's, one each."""
        for code in codes:
            if isinstance(code, bool) or not isinstance(code, int):
                raise TypeError(f"meta.next takes Meta's error codes, such as 131056; not {code!r}")
            self.refusals.append(code)

    # Of the users

    def say(self, user: str, name: str, item: dict[str, Any], number: str = NUMBER) -> bytes:
        """Add a user's message; return the body that Meta posts for it."""
        self._names[user] = name
        return self.body_of(self.chats.add(user, number, item, from_bot=False))

    def body_of(self, message: ChatMessage) -> bytes:
        """Return the body that Meta posts, again and again until it is acknowledged, for a user's message."""
        return bodies.of_message(message, self._names.get(message.user, "You"))

    def reports(self) -> list[bytes]:
        """Return the bodies with the statuses of what was taken since the last call."""
        taken, self._to_report = self._to_report, []
        return [self._report(message) for message in taken]

    def _report(self, message: ChatMessage) -> bytes:
        message.status = LADDER[-1]
        return bodies.of_statuses(message, LADDER, time.time())

    # Of the bot

    def play(self, request: httpx.Request) -> httpx.Response:
        """Answer a request to Graph: a message, a read mark, a number, or a file that a user sent."""
        *_, name = request.url.path.split("/")
        if name == "messages":
            number = request.url.path.split("/")[-2]
            status, content = self.answer(number, json.loads(request.content))
            return httpx.Response(status, json=content)
        file = self.chats.media.get(name)
        if file is None:
            return httpx.Response(200, json={"id": name, "throughput": {"level": LEVEL}})
        if request.url.path.startswith("/media/"):
            return httpx.Response(200, content=file.content, headers={"Content-Type": file.mime_type})
        digest = sha256(file.content).hexdigest()
        address = str(request.url.copy_with(path=f"/media/{name}", query=None))
        return httpx.Response(200, json={"id": name, "url": address, "sha256": digest})

    def answer(self, number: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Take a message or refuse it; return the answer's status and JSON."""
        if content.get("status") == "read":
            self.signals.append(content)
            self.chats.mark_read(content)
            return 200, {"success": True}
        if problem := rules.problem(content):
            return 400, rules.refusal(100, f"(#100) {problem}", error_data={"details": problem})
        if self.refusals:
            return 400, rules.refusal_by(self.refusals.popleft())
        self.at_send("before")
        sent = self.chats.take(number, content)
        self._to_report.append(sent)
        self.at_send("after")
        return 200, rules.acceptance(sent.user, sent.id)
