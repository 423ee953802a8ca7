"""Fills the real tables with years of events, as SQL: the indexes are dropped, and made anew over the full tables."""

from bench.subjects.catalog import NEVERDROP
from bench.subjects.stores import Stores

SLICE = 500_000
EVENTS_A_CONVERSATION = 20

INDEXES = """
SELECT indexdef, indexname FROM pg_indexes i WHERE schemaname = 'public'
AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname) AND tablename <> 'bench_rows'
"""
# A quarter are messages, as in Meta's mix; all of them are done. %(first)s and %(last)s: numbers of this slice.
ROWS = """
CREATE TEMPORARY TABLE slice ON COMMIT DROP AS
SELECT n, n %% 4 = 0 AS message, uuidv7(make_interval(secs => %(first)s - %(events)s + (n - %(first)s))) AS delivery_id,
       1000000 + n %% (%(events)s / %(per)s + 1) AS lane,
       clock_timestamp() + make_interval(secs => n - %(events)s) AS at,
       'wamid.HBgLMTU1NTAxOTkwMDAVAgA' || CASE WHEN n %% 4 = 0 THEN 'S' ELSE 'R' END || 'GBQz' ||
       left(md5(n::text), 20) || 'AA==' AS wamid
FROM generate_series(%(first)s, %(last)s) AS n;

INSERT INTO deliveries (id, accepted_at, door, state, ingested_at, events)
SELECT delivery_id, at, 'journal', 'split', at, 1 FROM slice;

INSERT INTO events (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload)
SELECT CASE WHEN message THEN 'message:' || wamid ELSE 'status:' || wamid || ':delivered:' END,
       delivery_id, 0, lane, date_trunc('second', at), at,
       CASE WHEN message THEN 'message' ELSE 'status' END, CASE WHEN message THEN 'text' ELSE 'delivered' END,
       '{"entry":"318400700200100","field":"messages","item":{"id":"' || wamid || '","text":{"body":"' ||
       md5(wamid) || md5(n::text || 'a') || md5(n::text || 'b') || md5(n::text || 'c') || md5(n::text || 'd') ||
       '"},"timestamp":"1790000000","type":"text"},"value":{"contacts":[{"profile":{"name":"' || md5(n::text || 'e') ||
       '"},"user_id":"US.9000000000000001","wa_id":"15550000001"}],"messaging_product":"whatsapp","metadata":' ||
       '{"display_phone_number":"15550199000","phone_number_id":"318400700200200"}}}'
FROM slice;

INSERT INTO message_statuses (message_id, status, sent_at, delivered_at)
SELECT wamid, 'delivered', at, at FROM slice WHERE n %% 4 = 1;
"""
OUTCOMES = """
INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, state, handler, worker)
SELECT id, id, lane, 1, CASE WHEN kind = 'message' THEN accepted_at END, accepted_at,
       CASE WHEN kind = 'message' THEN 1 ELSE 0 END,
       CAST(CASE WHEN kind = 'message' THEN 'done' ELSE 'unhandled' END AS job_state),
       CASE WHEN kind = 'message' THEN 'bench.handlers.note' END,
       CASE WHEN kind = 'message' THEN 'worker1@machine/1' END
FROM events
"""
CONVERSATIONS = """
WITH known AS (
  INSERT INTO conversations (id, key, created_at)
  SELECT 1000000 + n, '318400700200200/US.8000' || lpad(n::text, 12, '0'), now()
  FROM generate_series(0, %(events)s / %(per)s) AS n RETURNING id, key
), lanes_of_them AS (
  INSERT INTO lanes (id, conversation_id, lane_name_id) SELECT id, id, 1 FROM known
)
INSERT INTO conversation_aliases (key, conversation_id) SELECT key, id FROM known
"""


def prepare(stores: Stores, events: int) -> None:
    """Migrate, and fill; takes about a minute for each million."""
    NEVERDROP.prepare(stores)
    fill(stores, events)


def fill(stores: Stores, events: int) -> None:
    """Fill tables that are there, whatever table ``events`` is."""
    indexes = stores.rows(INDEXES)
    for _, name in indexes:
        stores.query(f'DROP INDEX "{name}"')
    parameters = {"events": events, "per": EVENTS_A_CONVERSATION}
    for first in range(1, events + 1, SLICE):
        last = min(first + SLICE - 1, events)
        stores.run(ROWS, {**parameters, "first": first, "last": last})
    stores.run(CONVERSATIONS, parameters)
    stores.run("SELECT setval('lane_ids', %(events)s + 2000000)", parameters)
    stores.run(OUTCOMES, {})
    for definition, _ in indexes:
        stores.query(definition)
    stores.query("VACUUM ANALYZE")
    stores.query("CHECKPOINT")
