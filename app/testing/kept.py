"""What the stores of a bot under test know of failures, and of what will not go on by itself."""

from sqlalchemy import Engine, text

from app.testing.failed_run import FailedRun

FAILED = text("""
SELECT coalesce(j.handler, o.handler) AS handler, a.number AS attempt, a.error, coalesce(a.traceback, '') AS traceback,
       coalesce(o.state = 'dead' AND o.attempts = a.number, false) AS dead
FROM past_attempts a LEFT JOIN jobs j ON j.id = a.job_id LEFT JOIN outcomes o ON o.id = a.job_id
WHERE a.error IS NOT NULL ORDER BY a.started_at, a.job_id, a.number
""")
STOPPED = text("""
SELECT format('no handler is registered for a message of type %L', e.type)
FROM outcomes o JOIN events e ON e.id = o.event_id WHERE o.state = 'unhandled' AND e.kind = 'message'
UNION ALL SELECT format('a send is %s: %s', state, error) FROM sends WHERE state IN ('dead', 'unknown')
""")
BUSY = text("""
SELECT EXISTS (SELECT FROM jobs j WHERE (due_at IS NULL OR due_at <= clock_timestamp())
                 AND (holds OR due_at IS NOT NULL) AND (quiet_at IS NULL OR quiet_at <= clock_timestamp())
                 AND j.lane NOT IN (SELECT lane FROM paused_lanes)
                 AND NOT EXISTS (SELECT FROM jobs held WHERE held.lane = j.lane AND held.due_at > clock_timestamp()))
    OR EXISTS (SELECT FROM sends WHERE state = 'sending' OR (state = 'queued' AND due_at <= clock_timestamp()))
    OR EXISTS (SELECT FROM deliveries WHERE state = 'stored')
""")


def failures(engine: Engine) -> list[FailedRun]:
    """Return every failed attempt, in order."""
    with engine.connect() as connection:
        rows = connection.execute(FAILED).mappings().all()
    return [FailedRun(**row, asked=row["error"].startswith("RetryAfter:")) for row in rows]


def stopped(engine: Engine) -> list[str]:
    """Return, in words, what will not go on by itself."""
    with engine.connect() as connection:
        return list(connection.execute(STOPPED).scalars())


def is_busy(engine: Engine) -> bool:
    """Return whether there is anything to run or to send now."""
    with engine.connect() as connection:
        return bool(connection.execute(BUSY).scalar())
