"""Let time pass in real stores: what they hold moves into the past, and what ends by itself ends sooner."""

from datetime import timedelta
from itertools import groupby

from redis import Redis
from sqlalchemy import Engine, text

NOT_MOVED = ("backlog_samples",)  # measurements of this machine

# A time that must be unique stays: its rows would collide on their way
COLUMNS = text("""
SELECT c.table_name, c.column_name
FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
  AND c.data_type IN ('timestamp with time zone', 'timestamp without time zone')
  AND NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indisunique AND i.indrelid = format('%I', c.table_name)::regclass AND a.attname = c.column_name)
ORDER BY c.table_name, c.column_name
""")


def shift(engine: Engine, redis: "Redis", time: timedelta) -> None:
    """Move every time in the tables, Neverdrop's and the bot's own, and every key in Redis that expires."""
    with engine.begin() as connection:
        for table, columns in groupby(connection.execute(COLUMNS).all(), key=lambda row: row[0]):
            if table in NOT_MOVED:
                continue
            moved = ", ".join(f'"{column}" = "{column}" - :time' for _, column in columns)
            connection.execute(text(f'UPDATE "{table}" SET {moved}'), {"time": time})  # noqa: S608  (of the catalog)
    milliseconds = int(time.total_seconds() * 1000)
    for key in redis.scan_iter("*"):
        left = redis.pttl(key)
        if left >= 0:
            redis.pexpire(key, max(1, left - milliseconds))
