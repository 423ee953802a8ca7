"""The SQL of an erasure."""

from sqlalchemy import text

# Events in their conversations, and bodies that name them and could not be read
EVENTS = text("""
SELECT id FROM events WHERE lane = ANY(:conversations)
UNION
SELECT e.id FROM deliveries d JOIN events e ON e.delivery_id = d.id
WHERE d.state = 'unreadable' AND encode(d.body, 'escape') ~ :pattern
ORDER BY 1
""")
UNFINISHED = text("SELECT count(*) FROM jobs WHERE event_id = ANY(:events)")
REPLIES = text("SELECT count(*) FROM sends WHERE event_id = ANY(:events) OR recipient = ANY(:names)")
RUNNING = text("""
SELECT id, worker FROM jobs WHERE event_id = ANY(:events) AND begun_at IS NOT NULL ORDER BY id
""")
SENDING = text("""
SELECT count(*) FROM sends WHERE state = 'sending' AND (event_id = ANY(:events) OR recipient = ANY(:names))
""")
NOT_SPLIT = text("""
SELECT count(*) FROM deliveries WHERE state = 'stored' AND encode(body, 'escape') ~ :pattern
""")

CONTENT = text("SELECT key, payload, type FROM events WHERE id = ANY(:events)")
MESSAGE_IDS = text("""
SELECT message_id FROM sends
WHERE message_id IS NOT NULL AND (event_id = ANY(:events) OR recipient = ANY(:names))
""")
# A second digest changes nothing: an erasure that was stopped half way is run again
KEEP_DIGESTS = text("""
INSERT INTO erased_keys (digest) SELECT unnest(CAST(:digests AS text[])) ON CONFLICT DO NOTHING
""")
LOCK_JOBS = text("SELECT FROM jobs WHERE event_id = ANY(:events) ORDER BY id FOR UPDATE")
# An attempt that is under way finds its job gone when it would commit: its effects are not kept
DELETE_EVENTS = text("""
WITH waiting AS (
  DELETE FROM jobs WHERE event_id = ANY(:events) RETURNING id
), ended AS (
  DELETE FROM outcomes WHERE event_id = ANY(:events) RETURNING id
), attempted AS (
  DELETE FROM past_attempts WHERE job_id IN (SELECT id FROM waiting UNION ALL SELECT id FROM ended)
), joined AS (
  DELETE FROM joined_jobs WHERE job_id IN (SELECT id FROM waiting UNION ALL SELECT id FROM ended)
), changed AS (
  DELETE FROM changed_duplicates WHERE event_id = ANY(:events)
), decided AS (
  DELETE FROM dead_letter_actions WHERE event_id = ANY(:events)
), states AS (
  DELETE FROM subject_states WHERE event_key = ANY(:keys)
), statuses AS (
  DELETE FROM message_statuses WHERE message_id = ANY(:message_ids)
), bodies AS (
  UPDATE deliveries SET body = NULL, error = 'erased'
  WHERE state = 'unreadable' AND id IN (SELECT delivery_id FROM events WHERE id = ANY(:events))
), gone AS (
  DELETE FROM events WHERE id = ANY(:events) RETURNING id
)
SELECT (SELECT count(*) FROM gone) AS events, (SELECT count(*) FROM waiting) AS unfinished_jobs
""")
DELETE_SENDS = text("""
WITH gone AS (
  DELETE FROM sends WHERE state <> 'sending' AND (event_id = ANY(:events) OR recipient = ANY(:names)) RETURNING id
), answers AS (
  DELETE FROM send_attempts WHERE send_id IN (SELECT id FROM gone)
), decided AS (
  DELETE FROM send_actions WHERE send_id IN (SELECT id FROM gone)
)
SELECT count(*) FROM gone
""")
DELETE_PARTICIPANTS = text("DELETE FROM message_statuses WHERE participant = ANY(:names)")
# What handlers keep of a conversation, and why somebody paused it
DELETE_DIALOGS = text("""
DELETE FROM dialogs WHERE lane IN (SELECT id FROM lanes WHERE conversation_id = ANY(:conversations))
""")
CLEAR_PAUSES = text("""
UPDATE lanes SET paused_why = NULL WHERE conversation_id = ANY(:conversations) AND paused_why IS NOT NULL
""")
# The rows stay without their names: an event that is being stored may have read their numbers
DELETE_NAMES = text("DELETE FROM conversation_aliases WHERE conversation_id = ANY(:conversations)")
UNNAME = text("UPDATE conversations SET key = 'erased/' || id WHERE id = ANY(:conversations)")

# What the release before reads has names in it too
NOT_CONTRACTED = text("SELECT to_regclass('finished_events_moved') IS NOT NULL")

BEGIN = text("""
INSERT INTO erasures (who, reason, chosen_by) VALUES (:who, :reason, :chosen_by) RETURNING id
""")
COUNT = text("""
UPDATE erasures SET events = events + :events, unfinished_jobs = unfinished_jobs + :unfinished_jobs,
                    sends = sends + :sends
WHERE id = :id
""")
FINISH = text("UPDATE erasures SET finished_at = clock_timestamp() WHERE id = :id")
