"""Graph's endpoints: numbers, files, and messages."""

import asyncio
from contextlib import suppress
from hashlib import sha256
from typing import Any

from tornado import web
from tornado.iostream import StreamClosedError

from app.dev.graph import rules
from app.dev.graph.handler import StandInHandler

MAX_NUMBER_DIGITS = 15  # of a number; files have one more here


class NumberOrMedia(StandInHandler):
    """GET /<version>/<id>: of a number, or of a file that a user sent."""

    def get(self, number: str) -> None:
        if not self.token_is_good():
            return
        if (found := self.stand_in.chats.media.get(number)) is not None:
            url = f"{self.request.protocol}://{self.request.host}/media/{number}"
            digest = sha256(found.content).hexdigest()
            self.finish(
                {
                    "id": number,
                    "url": url,
                    "mime_type": found.mime_type,
                    "sha256": digest,
                    "file_size": len(found.content),
                }
            )
        elif len(number) > MAX_NUMBER_DIGITS:
            self.refuse(400, 100, "Unsupported get request. Object does not exist")
        else:
            self.finish(
                {"id": number, "throughput": {"level": self.stand_in.level}, "quality_rating": "GREEN"}
            )


class Messages(StandInHandler):
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
        if problem := rules.problem(content):
            self.refuse(400, 100, f"(#100) {problem}", error_data={"details": problem})
            return
        if stand_in.refusals:
            self.set_status(400)
            self.finish(rules.refusal_by(stand_in.refusals.popleft()))
            return
        fault = stand_in.faults.draw()
        if self._refused(fault):
            return
        sent = stand_in.chats.take(number, content)
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
        with suppress(StreamClosedError):  # whoever asked is gone
            await self.finish(rules.acceptance(sent.user, sent.id))

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
        self.stand_in.signals.append(content)
        self.stand_in.chats.mark_read(content)
        self.finish({"success": True})


class MediaFile(StandInHandler):
    """The address of a file, which lives for a while and wants the token too."""

    def get(self, media_id: str) -> None:
        found = self.stand_in.chats.media.get(media_id)
        if not self.token_is_good():
            return
        if found is None or self.stand_in.faults.media_expired:
            raise web.HTTPError(404)
        self.set_header("Content-Type", found.mime_type)
        self.finish(found.content[:-1] + b"?" if self.stand_in.faults.media_broken else found.content)
