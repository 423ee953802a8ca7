"""The types that Meta documents, by kind: a handler for another is warned of. Pure: no I/O.

From developers.facebook.com/documentation/business-messaging/whatsapp/webhooks, as of 2026. Events of types that are
not in here are stored and handled like any other.
"""

KNOWN_TYPES: dict[str, frozenset[str]] = {
    "message": frozenset(
        (
            "audio", "button", "contacts", "document", "edit", "group", "image", "interactive", "location", "order",
            "reaction", "request_welcome", "revoke", "sticker", "system", "text", "unknown", "unsupported", "video",
        )
    ),
    "status": frozenset(("deleted", "delivered", "failed", "played", "read", "sent", "warning")),
    "payment_status": frozenset(("captured", "failed", "pending")),
    "call_status": frozenset(("ACCEPTED", "REJECTED", "RINGING")),
}  # fmt: skip
