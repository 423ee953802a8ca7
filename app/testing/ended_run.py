"""How a run ended, in lines that are the same for two runs that did the same."""

import json
import re
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.stores import Base, engine
from app.testing.bot import Bot, Effects

FIRST_EVENT_ID = 2_040_000_000  # nothing else looks like it, in a text or a column of 4 bytes
EVENT_ID = re.compile(r"\b204\d{7}\b")
OWN = {"alembic_version", *Base.metadata.tables} - {"echoes"}

SET_FIRST_EVENT_ID = text("SELECT setval(pg_get_serial_sequence('events', 'id'), :first)")
MESSAGES = text("SELECT id FROM events WHERE kind = 'message' ORDER BY id")
# Without what is another in each run: times, and numbers that a sequence gives, which an attempt that failed uses up
COLUMNS = text("""
SELECT table_name, array_agg(CAST(column_name AS text) ORDER BY ordinal_position) AS columns
FROM information_schema.columns JOIN information_schema.tables t USING (table_schema, table_name)
WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND is_identity = 'NO'
  AND data_type NOT LIKE 'time%' AND data_type <> 'date' AND coalesce(column_default, '') NOT LIKE 'nextval%'
GROUP BY table_name ORDER BY table_name
""")


def mark_events() -> None:
    """Let the numbers of events begin where nothing else is."""
    with engine().begin() as connection:
        connection.execute(SET_FIRST_EVENT_ID, {"first": FIRST_EVENT_ID})


def outcome(bot: Bot, effects: Effects | None) -> list[str]:
    """Return what was said and what the handlers have done, in lines."""
    session = bot.session
    lines = [_line(each.user, each.from_bot, each.message) for each in bot.meta.chats.messages]
    names = {each.id: f"<message {each.order}>" for each in bot.meta.chats.messages}
    names |= {
        str(id_): f"<event {place}>" for place, id_ in enumerate(session.execute(MESSAGES).scalars(), 1)
    }
    done = _rows(session) if effects is None else [f"effects: {effects(session)!r}"]
    return [*(_named(line, names) for line in lines), *sorted(_named(line, names) for line in done)]


def _line(user: str, from_bot: bool, message: dict[str, Any]) -> str:
    return f"{'to' if from_bot else 'from'} {user}: {json.dumps(message, sort_keys=True, ensure_ascii=False)}"


def _rows(session: Session) -> list[str]:
    found: list[str] = []
    for table, columns in session.execute(COLUMNS).all():
        if table not in OWN:
            names = ", ".join(f'"{column}"' for column in columns)
            rows = session.execute(text(f'SELECT {names} FROM "{table}"')).mappings()  # noqa: S608
            found += [f"{table}: {dict(row)!r}" for row in rows]
    return found


def _named(line: str, names: dict[str, str]) -> str:
    """Return a line with the places of messages and events instead of their ids."""
    for id_, name in names.items():
        if id_.startswith("wamid."):
            line = line.replace(id_, name)
    return EVENT_ID.sub(lambda match: names.get(match[0], "<event>"), line)
