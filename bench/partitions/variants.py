"""The table of events as it is, and as it could be in parts: what each would be, and what it would ask.

``hash``     in parts by the hash of the key: unique as today, but no part is older than another
``range``    in parts by the time of acceptance: the key is unique within a part only, so it breaks a promise
``keys``     the same, and a table of its own keeps the keys
``archive``  as it is, for what is young; what is old is moved to a table in parts by age
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.ingest.statements import INSERT_EVENTS
from app.lanes.statements import FINISH
from bench.subjects.stores import Stores

PARTS = 12
_, _, INSERT = INSERT_EVENTS.partition(" AS\n")
ON_CONFLICT, _, RETURNING = INSERT.partition("ON CONFLICT (key)")[2].partition("RETURNING")
# A table in parts cannot tell by xmax which row it has just inserted
RETURN_ALL = "RETURNING id, key, true AS inserted"
INSERT_IN_PARTS = INSERT.partition("ON CONFLICT")[0]

EVENT_INDEXES = """
SELECT indexdef FROM pg_indexes i WHERE schemaname = 'public' AND tablename = 'events'
AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname)
"""
COPY = "CREATE TABLE parted (LIKE events INCLUDING DEFAULTS INCLUDING IDENTITY) PARTITION BY"
RENAME = "DROP TABLE events; ALTER TABLE parted RENAME TO events"
# LIKE leaves it behind
NO_STATISTICS = "ALTER TABLE events ALTER COLUMN state SET STATISTICS 0"
# The age of the oldest event is as many seconds as there are events: see ``bench.fill``
BY_AGE = """
DO $$ DECLARE beginning timestamptz := clock_timestamp() - make_interval(secs => {events});
BEGIN
  FOR part IN 0 .. {parts} - 1 LOOP
    EXECUTE format('CREATE TABLE {name}_%s PARTITION OF {name} FOR VALUES FROM (%s) TO (%s)', part,
      CASE part WHEN 0 THEN 'MINVALUE' ELSE quote_literal(beginning + part * make_interval(secs => {seconds})) END,
      CASE part WHEN {parts} - 1 THEN 'MAXVALUE'
        ELSE quote_literal(beginning + (part + 1) * make_interval(secs => {seconds})) END);
  END LOOP;
END $$
"""
INSERT_BY_RANGE = INSERT_IN_PARTS + "ON CONFLICT (key, accepted_at) DO NOTHING " + RETURN_ALL
COLUMNS = INSERT.partition("AS incoming ")[2].partition("\n--")[0]
INSERT_BY_KEYS = f"""
WITH incoming AS MATERIALIZED (SELECT * FROM json_to_recordset(CAST($1 AS json)) AS incoming {COLUMNS}), new AS (
  INSERT INTO event_keys (key, accepted_at) SELECT key, accepted_at FROM incoming
  ON CONFLICT (key) DO NOTHING RETURNING key
)
INSERT INTO events (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload, state, handler,
                    error, finished_at)
SELECT key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload, state, handler, error,
       CASE WHEN state <> 'pending' THEN clock_timestamp() END
FROM incoming JOIN new USING (key) {RETURN_ALL}
"""  # noqa: S608  (constants)
# A lane knows when its event was accepted: told so, the last statement need look into one part only
FINISH_IN_PART = FINISH.replace(
    "lane_finish (bigint, smallint)", "lane_finish_in_part (bigint, smallint, timestamptz)"
).replace("WHERE id = $1 AND", "WHERE id = $1 AND accepted_at = $3 AND")


def _by_age(name: str, events: int) -> str:
    return BY_AGE.format(name=name, events=events, parts=PARTS, seconds=events / PARTS)


def _hash(stores: Stores, events: int) -> None:  # noqa: ARG001  (as the others)
    stores.query(f"{COPY} HASH (key)")
    stores.query("ALTER TABLE parted ADD PRIMARY KEY (id, key), ADD UNIQUE (key)")
    stores.query(RENAME)
    for part in range(PARTS):
        stores.query(
            f"CREATE TABLE events_{part} PARTITION OF events FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
        )


def _range(stores: Stores, events: int) -> None:
    stores.query(f"{COPY} RANGE (accepted_at)")
    stores.query("ALTER TABLE parted ADD PRIMARY KEY (id, accepted_at), ADD UNIQUE (key, accepted_at)")
    stores.query(RENAME)
    stores.query(_by_age("events", events))


def _keys(stores: Stores, events: int) -> None:
    stores.query(f"{COPY} RANGE (accepted_at)")
    stores.query("ALTER TABLE parted ADD PRIMARY KEY (id, accepted_at)")
    stores.query(RENAME)
    stores.query(_by_age("events", events))
    stores.query(
        'CREATE TABLE event_keys (key text COLLATE "C" PRIMARY KEY, accepted_at timestamptz NOT NULL)'
    )


def _fill_keys(stores: Stores, _events: int) -> None:
    stores.query("INSERT INTO event_keys SELECT key, accepted_at FROM events ORDER BY id")
    stores.query("CREATE INDEX event_keys_age ON event_keys (accepted_at)")


def _archive(stores: Stores, events: int) -> None:
    """Made full by ``_fill_archive``: all but the youngest part is moved there."""
    stores.query("CREATE TABLE archive (LIKE events INCLUDING DEFAULTS) PARTITION BY RANGE (finished_at)")
    stores.query(_by_age("archive", events))


def _fill_archive(stores: Stores, events: int) -> None:
    old = f"finished_at < clock_timestamp() - make_interval(secs => {events / PARTS})"
    stores.query(f"INSERT INTO archive SELECT * FROM events WHERE {old} ORDER BY id")  # noqa: S608
    stores.query(f"DELETE FROM events WHERE {old}")  # noqa: S608
    stores.query("CREATE INDEX archive_key ON archive (key)")
    stores.query("CREATE INDEX archive_lane ON archive (lane, occurred_at, delivery_id, position)")
    stores.query("VACUUM FULL events")


@dataclass(frozen=True, slots=True)
class Variant:
    """``shape`` makes the tables before they are filled, ``complete`` what has to be done after."""

    name: str
    insert: str = INSERT
    shape: Callable[[Stores, int], None] | None = None
    complete: Callable[[Stores, int], None] | None = None
    parts_of: str | None = None  # the table of which old parts can be dropped

    def prepare(self, stores: Stores, fill: Callable[[Stores, int], None], events: int) -> None:
        """Over the migrated tables."""
        indexes = [definition for (definition,) in stores.rows(EVENT_INDEXES)]
        if self.shape is not None:
            self.shape(stores, events)
        stores.query(NO_STATISTICS)
        fill(stores, events)
        known = {definition for (definition,) in stores.rows(EVENT_INDEXES)}
        for definition in set(indexes) - known:
            stores.query(definition.replace(" ON public.events ", " ON events "))
        if self.complete is not None:
            self.complete(stores, events)


PLAIN = Variant("plain")
VARIANTS = (
    PLAIN,
    Variant("hash", INSERT_IN_PARTS + "ON CONFLICT (key)" + ON_CONFLICT + RETURN_ALL, _hash),
    Variant("range", INSERT_BY_RANGE, _range, parts_of="events"),
    Variant("keys", INSERT_BY_KEYS, _keys, _fill_keys, "events"),
    Variant("archive", INSERT, _archive, _fill_archive, "archive"),
)
