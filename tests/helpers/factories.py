"""Webhook bodies for every test: shaped as Meta shapes them, written as Meta writes them, signed.

Items (``text_message``, ``status``, ...) go into a change (``messages``, ``statuses``, ``change``), changes
into a ``body``, and ``signed`` gives its bytes and headers::

    signed(body(messages(text_message("hello", sender=1))))

A user is a small number; ``phone(1)`` and ``user_id(1)`` are the names that user goes by. Any field of an
item can be given, changed, or left out with ``None``.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

APP_SECRET = "test-app-secret"
SIGNATURE_HEADER = "X-Hub-Signature-256"
ACCOUNT = "100200300400500"  # the WABA
PHONE_NUMBER_ID = "200300400500600"
OWN_PHONE = "15550009000"
GROUP = "R3JvdXA6MTU1NTAwMDkwMDA="
NOW = 1_790_000_000  # Unix seconds
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signed:
    """One POST: the bytes and the headers that go with them."""

    body: bytes
    headers: dict[str, str]


def signed(content: Json | bytes, secret: str = APP_SECRET) -> Signed:
    """A body as it is posted; bytes are signed as they are."""
    raw = content if isinstance(content, bytes) else wire(content)
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return Signed(raw, {SIGNATURE_HEADER: f"sha256={digest}", "Content-Type": "application/json"})


def wire(content: Any) -> bytes:
    """JSON as Meta writes it: ASCII, no white space, slashes escaped."""
    return json.dumps(content, separators=(",", ":")).replace("/", "\\/").encode()


def phone(user: int) -> str:
    return f"1555{user:07}"


def user_id(user: int) -> str:
    return f"US.9000{user:010}"


def wamid(number: int | str) -> str:
    """A message id that looks like one; the same for the same number."""
    return f"wamid.{b64encode(f'neverdrop-test-{number:>12}'.encode()).decode()}"


# Bodies


def body(*changes: Json, account: str = ACCOUNT, time: int | None = None) -> Json:
    """One entry with these changes."""
    return batch(entry(*changes, account=account, time=time))


def entry(*changes: Json, account: str = ACCOUNT, time: int | None = None) -> Json:
    return {"id": account, **_given(time=time), "changes": list(changes)}


def batch(*entries: Json) -> Json:
    return {"object": "whatsapp_business_account", "entry": list(entries)}


def change(field: str, phone_number_id: str = PHONE_NUMBER_ID, **lists: Any) -> Json:
    """A change of a messaging field: its lists beside the metadata."""
    metadata = {"display_phone_number": OWN_PHONE, "phone_number_id": phone_number_id}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **_given(**lists)}
    return {"field": field, "value": value}


def management(field: str, **value: Any) -> Json:
    """A change of a management field, which names no phone number id."""
    return {"field": field, "value": value}


def messages(*items: Any, contacts: list[Json] | None = None, **more: Any) -> Json:
    return change("messages", contacts=contacts, messages=list(items), **more)


def statuses(*items: Any, contacts: list[Json] | None = None, field: str = "messages") -> Json:
    return change(field, contacts=contacts, statuses=list(items))


def calls(*items: Any, **more: Any) -> Json:
    return change("calls", calls=list(items), **more)


def echoes(*items: Any, field: str = "smb_message_echoes") -> Json:
    return change(field, message_echoes=list(items))


def standby(**lists: Any) -> Json:
    """``lists``: messages, message_echoes or statuses, one level deeper than elsewhere."""
    return change("standby", standby=lists)


def history(*threads: Json, phase: int = 0, chunk_order: int = 1) -> Json:
    """A chunk of the history; ``history_thread`` makes a thread."""
    metadata = {"phase": phase, "chunk_order": chunk_order, "progress": 10}
    return change("history", history=[{"metadata": metadata, "threads": list(threads)}])


def history_thread(user: int, *items: Json) -> Json:
    return {"id": phone(user), "messages": list(items)}


def account_update(event: str = "VERIFIED_ACCOUNT", **more: Any) -> Json:
    return management("account_update", event=event, **more)


def user_preferences(*items: Json) -> Json:
    return change("user_preferences", user_preferences=list(items))


# Items


def contact(user: int = 1, **names: Any) -> Json:
    """One of ``contacts[]``: both names of a user, unless said otherwise."""
    profile = {"name": f"User {user}"}
    return _given(**({"profile": profile, "wa_id": phone(user), "user_id": user_id(user)} | names))


def text_message(text: str = "hello", *, number: int | str = 1, sender: int = 1, **more: Any) -> Json:
    """A message from a user with both names."""
    return message("text", number=number, sender=sender, text={"body": text}, **more)


def message(type: str | None, *, number: int | str = 1, sender: int = 1, **more: Any) -> Json:  # noqa: A002
    names = {"from": phone(sender), "from_user_id": user_id(sender)}
    return _given(**(names | {"id": wamid(number), "timestamp": str(NOW), "type": type} | more))


def system_message(
    kind: str = "user_changed_number",
    *,
    number: int | str = 1,
    sender: str | None = None,
    sender_id: str | None = None,
    **system: Any,
) -> Json:
    """What Meta says of a user; its forms differ in the names that they give, so each is the caller's."""
    names = _given(**{"from": sender, "from_user_id": sender_id})
    members = {"id": wamid(number), "timestamp": str(NOW), "type": "system"}
    return names | members | {"system": {"type": kind, **system}}


def status(state: str = "delivered", *, number: int | str = 1, recipient: int = 1, **more: Any) -> Json:
    """A status of a message that we sent to a user."""
    names = {"recipient_id": phone(recipient), "recipient_user_id": user_id(recipient)}
    return _given(**({"id": wamid(number), "status": state, "timestamp": str(NOW)} | names | more))


def payment_status(
    state: str = "captured", *, number: int | str = 1, payer: int = 1, at: int = NOW, **payment: Any
) -> Json:
    """A status of a payment request that we sent; ``payment``: what else Meta says of the payment."""
    order = {"reference_id": f"order-{number}", **payment}
    return status(state, number=number, recipient=payer, timestamp=str(at), type="payment", payment=order)


def transaction(*refunds: Json, state: str = "success") -> Json:
    return {"id": "transaction-1", "type": "examplepay", "status": state, "refunds": list(refunds) or None}


def refund(number: int, state: str, at: int) -> Json:
    return {"id": f"refund-{number}", "status": state, "updated_timestamp": at}


def group_status(state: str, participant: int, *, number: int | str = 1, **more: Any) -> Json:
    """A status of a message that we sent to a group, of one participant."""
    members = {"id": wamid(number), "status": state, "timestamp": str(NOW)}
    group = {"recipient_id": GROUP, "recipient_type": "group"}
    return _given(**(members | group | {"recipient_participant_user_id": user_id(participant)} | more))


def call(event: str = "connect", *, number: int | str = 1, caller: int = 1, **more: Any) -> Json:
    """A call from a user."""
    sides = {"from": phone(caller), "from_user_id": user_id(caller), "to": OWN_PHONE}
    members = {"id": f"wacid.{number}", "event": event, "timestamp": str(NOW), "direction": "USER_INITIATED"}
    return _given(**(members | sides | more))


def echo(text: str = "hello", *, number: int | str = 1, recipient: int = 1, **more: Any) -> Json:
    """A message that the business sent from its phone app."""
    sides = {"from": OWN_PHONE, "to": phone(recipient), "to_user_id": user_id(recipient)}
    members = {"id": wamid(number), "timestamp": str(NOW), "type": "text", "text": {"body": text}}
    return _given(**(members | sides | more))


def standby_echo(text: str = "hello", *, number: int | str = 1, recipient: int = 1) -> Json:
    """A message that an agent sent: the body of the send, inside."""
    sent = {"messaging_product": "whatsapp", "to": phone(recipient), "type": "text", "text": {"body": text}}
    return {"id": wamid(number), "timestamp": str(NOW), "message": sent}


def preference(value: str = "stop", *, user: int = 1, at: int = NOW) -> Json:
    names = {"wa_id": phone(user), "user_id": user_id(user)}
    return names | {"category": "marketing_messages", "value": value, "timestamp": at}


def _given(**members: Any) -> Json:
    return {name: member for name, member in members.items() if member is not None}
