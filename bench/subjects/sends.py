"""Replies that wait in the outbox, as handlers have written them."""

from sqlalchemy import text

from app.stores import engine

NUMBERS = 4  # the business's: each has a rate of its own
CONVERSATIONS = 1000
FIRST = 1_000_000  # the number of an event that there is not
FILL = text("""
INSERT INTO sends (event_id, handler, step, number, conversation, recipient_kind, recipient, body, callback)
SELECT i, 'bench', '1', CAST(1000 + i % :numbers AS text), 'c' || i % :conversations, 'phone',
       CAST(15550000000 + i % :conversations AS text),
       '{"type": "text", "text": {"body": "hello"}}', gen_random_uuid()
FROM generate_series(:first, :last) AS i
""")


def fill(count: int) -> None:
    """Commit so many replies at once."""
    sizes = {"numbers": NUMBERS, "conversations": CONVERSATIONS, "first": FIRST, "last": FIRST + count - 1}
    with engine().begin() as connection:
        connection.execute(FILL, sizes)
