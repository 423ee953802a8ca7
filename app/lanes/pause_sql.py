"""What pausing and resuming lanes asks of Postgres."""

from sqlalchemy import text

# A merged lane's pause counts for the one that it became a part of
PAUSES = """
SELECT l.id AS lane, l.conversation_id AS conversation, c.key,
  (SELECT name FROM lane_names n WHERE n.id = l.lane_name_id) AS lane_name,
  p.paused_at, p.paused_by, p.paused_until, p.paused_why, coalesce(p.skips, false) AS skips
FROM lanes l JOIN conversations c ON c.id = l.conversation_id
{join} JOIN LATERAL (
  SELECT min(p.paused_at) AS paused_at,
    -- Of several the one that ends last says who and why
    CASE WHEN bool_and(p.paused_until IS NOT NULL) THEN max(p.paused_until) END AS paused_until,
    (array_agg(p.paused_by ORDER BY p.paused_until DESC NULLS FIRST))[1] AS paused_by,
    (array_agg(p.paused_why ORDER BY p.paused_until DESC NULLS FIRST))[1] AS paused_why,
    bool_or(p.skips_after IS NOT NULL) AS skips
  FROM lanes p WHERE l.id IN (p.id, p.merged_into) AND p.paused_at IS NOT NULL
) AS p ON true
"""
STATE = text(PAUSES.format(join="LEFT") + "WHERE l.id = (SELECT root_lane(:lane))")
OF_ALL = "WHERE l.id IN (SELECT lane FROM paused_lanes) ORDER BY p.paused_at, l.id LIMIT :at_most"
LIST = text(PAUSES.format(join="") + OF_ALL)

# Not where it is paused for as long already. Jobs are told by their numbers: clocks of two machines differ.
PAUSE = text("""
UPDATE lanes SET
  paused_at = coalesce(paused_at, clock_timestamp()), paused_by = :who, paused_why = :why,
  paused_until = clock_timestamp() + make_interval(secs => CAST(:seconds AS float)),
  -- Only that of this very pause: the release before resumes without it
  skips_after = CASE WHEN :skips THEN
    coalesce(CASE WHEN paused_at IS NOT NULL THEN skips_after END, (SELECT last_value FROM events_id_seq)) END
WHERE id = (SELECT root_lane(:lane)) AND NOT EXISTS (
  SELECT FROM lanes p WHERE (SELECT root_lane(:lane)) IN (p.id, p.merged_into) AND p.paused_at IS NOT NULL
    AND (p.paused_until IS NULL
         OR p.paused_until >= clock_timestamp() + make_interval(secs => CAST(:seconds AS float)))
)
""")

# What a person has seen is skipped: messages that came during the pause and that nobody has begun
RESUME = """
WITH paused AS MATERIALIZED (
  SELECT id, coalesce(merged_into, id) AS root, skips_after, paused_by, paused_why
  FROM lanes WHERE paused_at IS NOT NULL AND {chosen} ORDER BY id FOR UPDATE
), resumed AS (
  UPDATE lanes l SET paused_at = NULL, paused_by = NULL, paused_until = NULL, paused_why = NULL, skips_after = NULL
  FROM paused WHERE l.id = paused.id
), gone AS (
  DELETE FROM jobs j USING paused p
  WHERE j.lane = p.root AND j.id > p.skips_after AND j.attempts = 0 AND j.replay_id IS NULL
    AND (SELECT kind FROM events e WHERE e.id = j.event_id) = 'message'
  RETURNING j.*, p.paused_by, p.paused_why
), skipped AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, state, handler, payload)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), 'skipped', handler, payload FROM gone
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who, reason)
  SELECT event_id, id, 'skip', coalesce(paused_by, ''), 'seen by a person' || coalesce(': ' || paused_why, '') FROM gone
)
SELECT root AS lane, (SELECT count(*) FROM gone g WHERE g.lane = root) AS skipped FROM paused
"""
RESUME_LANE = text(RESUME.format(chosen=":lane IN (id, merged_into)"))
RESUME_DUE = text(RESUME.format(chosen="paused_until <= clock_timestamp()"))
NAMED = text("""
SELECT DISTINCT coalesce(c.merged_into, c.id) AS lane
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
WHERE a.key = :name
UNION
SELECT l.id FROM lanes l JOIN conversations c ON c.id = l.conversation_id WHERE l.id = (SELECT root_lane(:lane))
""")
# Only a person who types a bare phone number or user id comes here: all names are read
NAMED_IN_PART = text("""
SELECT DISTINCT coalesce(c.merged_into, c.id) AS lane
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
WHERE right(a.key, length(:name) + 1) = '/' || :name
LIMIT :at_most
""")
NAME_ID = text("SELECT id FROM lane_names WHERE name = :name")
# A lane of a template or an account has none
CONVERSATION_OF = text("""
SELECT c.id FROM lanes l JOIN conversations c ON c.id = l.conversation_id WHERE l.id = (SELECT root_lane(:lane))
""")
