"""What Meta takes, what it refuses, and its answers, as data. Pure: no I/O."""

from typing import Any

from app.graph import codes

RESERVED = ("messaging_product", "recipient_type", "to", "recipient", "biz_opaque_callback_data", "context")
MAX_TEXT = 4096


def recipient(content: dict[str, Any]) -> str:
    """Return whom a request to /messages is for, without the plus sign; "" for nobody."""
    return str(content.get("to") or content.get("recipient") or "").removeprefix("+")


def message(content: dict[str, Any]) -> dict[str, Any]:
    """Return the message object of a request."""
    return {name: value for name, value in content.items() if name not in RESERVED}


def problem(content: dict[str, Any]) -> str | None:
    """Return what Meta would refuse a message for; None for a message that it takes."""
    if content.get("messaging_product") != "whatsapp":
        return "The parameter messaging_product is required."
    if not recipient(content):
        return "The parameter to is required."
    type_ = content.get("type", "text")
    part = content.get(type_) if isinstance(type_, str) else None
    if not isinstance(part, dict | list) or not part:
        return f"The parameter {type_} is required."
    if type_ == "text" and not (isinstance(part, dict) and 0 < len(str(part.get("body") or "")) <= MAX_TEXT):
        return f"Param text['body'] must be at most {MAX_TEXT} characters long."
    return None


def refusal(code: int, text: str, **more: Any) -> dict[str, Any]:
    """Return an error as Graph answers it."""
    return {
        "error": {"message": text, "type": "OAuthException", "code": code, "fbtrace_id": "stand-in", **more}
    }


def refusal_by(code: int) -> dict[str, Any]:
    """Return the error of a code, in the words of our table of Meta's codes."""
    known = codes.find(code)
    return refusal(code, f"(#{code}) {known.meaning if known else 'an undocumented error'}")


def acceptance(user: str, message_id: str) -> dict[str, Any]:
    """Return the answer to a message that was taken."""
    contact = {"input": user, "wa_id": user}
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": message_id}]}
