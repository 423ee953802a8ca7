"""What the stand-in posts to the webhook: users' messages and statuses, signed as Meta signs them."""

import asyncio
import hmac
import time
from hashlib import sha256
from typing import Any

import httpx

from app.dev.graph import bodies
from app.dev.graph.chats import ChatMessage

TRIES = 60
PAUSE_SECONDS = 0.5


class Webhooks:
    """Posts bodies until each is acknowledged, as Meta does, for half a minute."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret.encode()
        self._client = httpx.AsyncClient(timeout=20, trust_env=False)

    async def close(self) -> None:
        """Close the connections to the webhook."""
        await self._client.aclose()

    async def message(self, sent: ChatMessage) -> None:
        """A user's message."""
        await self._post(bodies.of_message(sent))

    async def status(
        self, sent: ChatMessage, status: str, errors: list[dict[str, Any]] | None = None
    ) -> None:
        """How far a message of the bot's got."""
        await self._post(bodies.of_statuses(sent, [status], time.time(), errors))

    async def _post(self, body: bytes) -> None:
        signature = "sha256=" + hmac.new(self._secret, body, sha256).hexdigest()
        headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
        for _ in range(TRIES):
            try:
                answer = await self._client.post(self._url, content=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return
            await asyncio.sleep(PAUSE_SECONDS)
