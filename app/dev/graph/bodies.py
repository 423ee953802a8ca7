"""The bodies that Meta posts to the webhook for a message of a user's and for statuses."""

import json
from collections.abc import Iterable
from typing import Any

from app.dev.graph.chats import ChatMessage

ACCOUNT = "102290129340398"
DISPLAY_PHONE = "15550783881"


def of_message(sent: ChatMessage, name: str = "You") -> bytes:
    """Return the body of a user's message; ``name`` is that of the user's profile."""
    item = {"from": sent.user, "id": sent.id, "timestamp": str(int(sent.at)), **sent.message}
    contact = {"profile": {"name": name}, "wa_id": sent.user}
    return _body(sent.number, {"contacts": [contact], "messages": [item]})


def of_statuses(
    sent: ChatMessage, statuses: Iterable[str], at: float, errors: list[dict[str, Any]] | None = None
) -> bytes:
    """Return the body that tells how far a message of the bot's got, at the Unix time ``at``."""
    return _body(sent.number, {"statuses": [_status(sent, status, at, errors) for status in statuses]})


def _status(sent: ChatMessage, status: str, at: float, errors: list[dict[str, Any]] | None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": sent.id, "status": status, "timestamp": str(int(at)), "recipient_id": sent.user
    }  # fmt: skip
    if sent.callback is not None:
        item["biz_opaque_callback_data"] = sent.callback
    return item | ({"errors": errors} if errors else {})


def _body(number: str, items: dict[str, Any]) -> bytes:
    metadata = {"display_phone_number": DISPLAY_PHONE, "phone_number_id": number}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **items}
    change = {"field": "messages", "value": value}
    content = {"object": "whatsapp_business_account", "entry": [{"id": ACCOUNT, "changes": [change]}]}
    return json.dumps(content).encode()
