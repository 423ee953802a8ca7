"""What a target answers with: ``{"replies": [...]}``, written to the outbox as ``ctx.reply`` would.

Each is an object of what ``ctx.reply`` takes, with the text as ``text``; a message object of the Cloud API as
``message``; an emoji as ``react``; and to somebody else by ``to`` and ``number``.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.errors import Permanent
from app.handlers import Context, reply_names
from app.targets.answers import TargetAnswer

MAX_REPLIES = 50
OWN_NAMES = frozenset({"text", "message", "react", "to", "number"})


class RefusedReplies(Permanent):
    """The target took the event, and answered what cannot be sent."""


Reply = dict[str, Any]


def replies_of(answer: TargetAnswer) -> list[Reply]:
    """Return the replies in an answer, none where it holds no JSON object of them. RefusedReplies for what is wrong."""
    body = answer.body.strip()
    if not answer.is_done or not body.startswith(b"{"):
        return []
    if not answer.whole:
        raise RefusedReplies("the answer is longer than an answer may be, and was not read")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return []
    replies = content.get("replies")
    if replies is None:
        return []
    if not isinstance(replies, list) or not all(isinstance(each, dict) for each in replies):
        raise RefusedReplies("replies in the answer is no list of objects")
    if len(replies) > MAX_REPLIES:
        raise RefusedReplies(f"the answer holds {len(replies)} replies, and may hold {MAX_REPLIES}")
    return replies


def write(ctx: Context, replies: list[Reply]) -> None:
    """Write replies in the transaction of the outcome. Permanent for what Meta would refuse, as from a handler."""
    for number, reply in enumerate(replies, 1):
        try:
            _write(ctx, reply)
        except Permanent as error:
            raise RefusedReplies(f"reply {number} of the answer: {error}") from error
        except SQLAlchemyError:
            raise
        except Exception as error:  # a target may answer anything
            raise RefusedReplies(
                f"reply {number} of the answer is of no shape that can be sent: {error}"
            ) from error


def _write(ctx: Context, reply: Reply) -> None:
    unknown = sorted(reply.keys() - OWN_NAMES - reply_names())
    if unknown:
        raise RefusedReplies(f"knows no {', '.join(unknown)}")
    given: Any = {name: value for name, value in reply.items() if name not in OWN_NAMES}
    if "at" in given:
        given["at"] = datetime.fromisoformat(given["at"])
    text, from_number = reply.get("message", reply.get("text")), reply.get("number")
    if not isinstance(text, str | Mapping | None) or not isinstance(from_number, str | None):
        raise RefusedReplies("text and number are texts")
    if "react" in reply:
        ctx.react(str(reply["react"]), **given)
    elif "to" in reply:
        ctx.send(str(reply["to"]), text, number=from_number, **given)
    else:
        ctx.reply(text, **given)
