"""Made-up dead letters, conversations and samples, straight in the tables: to look at, to page through, to time.

Nobody of these exists. The same number gives the same letter.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, insert, text

from app.stores.job_models import MAIN_LANE_NAME, LaneRow, PastAttempt
from app.stores.models import (
    BacklogSample,
    ConversationAlias,
    ConversationRow,
    Delivery,
    DeliveryState,
    JobState,
    StoredIn,
)
from tests.helpers import factories as f
from tests.helpers.jobs import insert_events

HANDLERS = {"text": "mybot.answer", "image": "mybot.store_picture", "interactive": "mybot.order"}
ERRORS = {
    "text": "TimeoutError: the shop's service did not answer within 10 s",
    "image": "HTTPStatusError: 503 Service Unavailable from the media service",
    "interactive": "KeyError: 'article_of_the_old_catalogue'",
}
TRACEBACK = """Traceback (most recent call last):
  File "/srv/neverdrop/mybot.py", line 41, in {function}
    order = shop.find(event.item)
            ^^^^^^^^^^^^^^^^^^^^^
  File "/srv/neverdrop/shop.py", line 17, in find
    raise {error_class}({words!r})
{error_class}: {words}
"""
TEXTS = (
    "Where is my parcel?",
    "Do you have these in blue?",
    "The code does not work",
    "Thank you!",
    "Is anybody there?",
)
USERS = 40
ATTEMPTS = 3
ROWS_A_CALL = 5000


def conversations(engine: Engine, count: int = USERS) -> list[int]:
    """Their lanes; each is known by a phone number and a user id."""
    with engine.begin() as connection:
        rows = [{"key": f"{f.PHONE_NUMBER_ID}/{f.user_id(user)}"} for user in range(count)]
        lanes = list(
            connection.execute(insert(ConversationRow).returning(ConversationRow.id), rows).scalars()
        )
        connection.execute(
            insert(LaneRow),
            [{"id": lane, "conversation_id": lane, "lane_name_id": MAIN_LANE_NAME} for lane in lanes],
        )
        names = [
            {"key": f"{f.PHONE_NUMBER_ID}/{name(user)}", "conversation_id": lane}
            for user, lane in enumerate(lanes)
            for name in (f.phone, f.user_id)
        ]
        connection.execute(insert(ConversationAlias), names)
    return lanes


def events(
    engine: Engine,
    lanes: Sequence[int],
    count: int,
    state: JobState = JobState.DEAD,
    now: datetime | None = None,
    words: str | None = None,
    first: int = 0,
) -> list[int]:
    """Events of the last hours, in turn of each lane and type; dead ones with their attempts."""
    random = Random(first)
    now = now or datetime.now(UTC)
    ids: list[int] = []
    for start in range(first, first + count, ROWS_A_CALL):
        numbers = range(start, min(start + ROWS_A_CALL, first + count))
        rows = [_event(number, lanes, state, now, words, random) for number in numbers]
        with engine.begin() as connection:
            connection.execute(insert(Delivery), [_delivery(row) for row in rows])
            found = insert_events(connection, rows)
            if state is JobState.DEAD:
                connection.execute(insert(PastAttempt), _attempts(found, rows))
        ids += found
    return ids


def _event(
    number: int, lanes: Sequence[int], state: JobState, now: datetime, words: str | None, random: Random
) -> dict[str, Any]:
    user = number % len(lanes)
    kind = ("text", "image", "interactive", "text")[number % 4]
    accepted = now - timedelta(seconds=60 + 41 * number % 40_000)
    final = state is not JobState.PENDING
    return {
        "key": f"message:{f.wamid(number)}",
        "delivery_id": UUID(int=accepted.microsecond << 64 | number),
        "position": 0,
        "lane": lanes[user],
        "occurred_at": accepted.replace(microsecond=0),
        "accepted_at": accepted,
        "kind": "message",
        "type": kind,
        "payload": json.dumps(_payload(number, user, kind, words or random.choice(TEXTS), accepted)),
        "state": state,
        "handler": HANDLERS[kind],
        "attempts": ATTEMPTS if final else 0,
        "error": ERRORS[kind] if state is JobState.DEAD else None,
        "finished_at": accepted + timedelta(seconds=20 + number % 17) if final else None,
    }


def _payload(number: int, user: int, kind: str, words: str, at: datetime) -> f.Json:
    content: f.Json = {"text": {"body": words}}
    if kind == "image":
        content = {"image": {"mime_type": "image/jpeg", "id": f"media{number}", "caption": words}}
    if kind == "interactive":
        reply = {"id": f"article-{number % 9}", "title": words}
        content = {"interactive": {"type": "button_reply", "button_reply": reply}}
    item = f.message(kind, number=number, sender=user, timestamp=str(int(at.timestamp())), **content)
    metadata = {"display_phone_number": f.OWN_PHONE, "phone_number_id": f.PHONE_NUMBER_ID}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": [f.contact(user)]}
    return {"entry": f.ACCOUNT, "field": "messages", "item": item, "value": value}


def _delivery(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["delivery_id"],
        "accepted_at": row["accepted_at"],
        "stored_in": StoredIn.JOURNAL,
        "state": DeliveryState.SPLIT,
        "ingested_at": row["accepted_at"] + timedelta(milliseconds=8),
        "events": 1,
    }


def _attempts(ids: Sequence[int], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_attempt(id_, row, number) for id_, row in zip(ids, rows, strict=True) for number in (1, 2, 3)]


def _attempt(id_: int, row: dict[str, Any], number: int) -> dict[str, Any]:
    started = row["accepted_at"] + timedelta(seconds=2 * number)
    error_class, _, words = row["error"].partition(": ")
    function = row["handler"].partition(".")[2]
    return {
        "job_id": id_,
        "number": number,
        "worker": "worker1@bot/4711",
        "started_at": started,
        "finished_at": row["finished_at"] if number == ATTEMPTS else started + timedelta(milliseconds=730),
        "error": row["error"],
        "traceback": TRACEBACK.format(function=function, error_class=error_class, words=words),
    }


def samples(engine: Engine, now: datetime, hours: int = 24, every_seconds: int = 10) -> None:
    """An ordinary day with a fault in its last hour: a service was down for some minutes."""
    random = Random(7)
    rows = []
    dead = 3
    for second in range(-hours * 3600, 0, every_seconds):
        fault = -2400 < second < -1500
        busy = 60 + 40 * math.sin(second / 5000) + random.uniform(-12, 12)
        failed = int(busy / 3) if fault else int(random.random() < 0.1)
        died = int(second % 30 == 0 or second % 70 == 0) if fault and second > -2300 else 0
        dead += died
        waiting = (
            int((second + 2400) / 3)
            if fault
            else max(0, 300 + int((second + 1500) * 1.2))
            if -1500 <= second < -1250
            else int(busy / 20)
        )
        rows.append(
            {
                "at": now + timedelta(seconds=second),
                "size": waiting,
                "oldest_seconds": (second + 2400) / 2.5 if fault else random.uniform(0, 1.5),
                "dead_letters": dead,
                "journal": int(busy / 30),
                "pending": waiting,
                "workers": 2,
                "arrived": int(busy),
                "done": max(0, int(busy) - failed),
                "failed_attempts": failed,
                "died": died,
            }
        )
    with engine.begin() as connection:
        connection.execute(insert(BacklogSample), rows)


def analyze(engine: Engine) -> None:
    """As autovacuum would, soon after so many rows."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
