"""What the stand-in posts to the webhook: users' messages and statuses, signed as Meta signs them."""

import asyncio
import hmac
import json
import time
from hashlib import sha256
from typing import Any

import httpx

from app.dev.graph.chats import ChatMessage

ACCOUNT = "102290129340398"
DISPLAY_PHONE = "15550783881"
TRIES = 60
PAUSE_SECONDS = 0.5


class Webhooks:
    """Posts bodies until each is acknowledged, as Meta does, for half a minute."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret.encode()
        self._client = httpx.AsyncClient(timeout=20, trust_env=False)

    async def message(self, sent: ChatMessage) -> None:
        """A user's message."""
        item = {"from": sent.user, "id": sent.id, "timestamp": str(int(sent.at)), **sent.message}
        contact = {"profile": {"name": "You"}, "wa_id": sent.user}
        await self._post(sent.number, {"contacts": [contact], "messages": [item]})

    async def status(
        self, sent: ChatMessage, status: str, errors: list[dict[str, Any]] | None = None
    ) -> None:
        """How far a message of the bot's got."""
        item: dict[str, Any] = {
            "id": sent.id, "status": status, "timestamp": str(int(time.time())), "recipient_id": sent.user
        }  # fmt: skip
        if sent.callback is not None:
            item["biz_opaque_callback_data"] = sent.callback
        if errors:
            item["errors"] = errors
        await self._post(sent.number, {"statuses": [item]})

    async def _post(self, number: str, items: dict[str, Any]) -> None:
        metadata = {"display_phone_number": DISPLAY_PHONE, "phone_number_id": number}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **items}
        change = {"field": "messages", "value": value}
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": ACCOUNT, "changes": [change]}]}
        ).encode()
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
