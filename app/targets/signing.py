"""The headers of a request to a target: Standard Webhooks, and Meta's own for the raw form. Pure: no I/O."""

import hashlib
import hmac
from datetime import datetime

from standardwebhooks import Webhook

from app.targets.target import Target

USER_AGENT = "neverdrop"


def webhook_id(event_id: int, target: str, replay_id: int | None) -> str:
    """Return the id of an event for a target: the same in every attempt, and another in each replay.

    A replay is asked for by a person, and a receiver that knows the first id would pass over it. No id holds a dot,
    which separates what is signed.
    """
    replayed = "" if replay_id is None else f"_{replay_id}"
    return f"evt_{event_id}_{target}{replayed}"


def headers(target: Target, id_: str, body: str, now: datetime) -> dict[str, str]:
    """Return all headers but Host: the target's own, the time of this attempt, and a signature for each secret.

    ``now`` is in UTC. While a secret is rotated there are two, so that a receiver may have either.
    """
    encoded = body.encode()
    signed = {
        **{name: value.get_secret_value() for name, value in target.headers.items()},
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(encoded)),
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id_, now, body) for secret in target.secrets),
    }
    if target.hub_secret is not None:
        key = target.hub_secret.get_secret_value().encode()
        signed["X-Hub-Signature-256"] = f"sha256={hmac.new(key, encoded, hashlib.sha256).hexdigest()}"
    return signed
