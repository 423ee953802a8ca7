"""The pipeline at a glance: what happens each minute, how many lanes are run, and the samples behind the charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from sqlalchemy import Connection, text

from app.stores import CLAIM_PREFIX
from app.watch import DIED

KEYS_A_CALL = 1000
LANE_CLAIMS = f"{CLAIM_PREFIX}lane:*"

# Each count reads the end of one index: deliveries_ingested, outcomes_finished, past_attempts_failed, outcomes_died
LAST_MINUTE = text(f"""
WITH minute AS (SELECT clock_timestamp() - interval '1 minute' AS since, clock_timestamp() AS until)
SELECT
  (SELECT coalesce(sum(events), 0) FROM deliveries WHERE ingested_at > since) AS arrived,
  (SELECT count(*) FROM outcomes WHERE state IN ('done', 'unhandled') AND finished_at > since) AS done,
  (SELECT count(*) FROM past_attempts WHERE error IS NOT NULL AND finished_at > since) AS failed_attempts,
  {DIED} AS died
FROM minute
""")  # noqa: S608  (a constant)
# A gauge's worst within a step; of what happened, so much a minute
SERIES = text("""
SELECT CAST(floor(extract(epoch FROM at) / :step) * :step AS bigint) AS at,
       max(size) AS size, max(oldest_seconds) AS oldest_seconds, max(dead_letters) AS dead_letters,
       max(journal) AS journal, max(pending) AS pending, max(second_door) AS second_door, min(workers) AS workers,
       CAST(sum(arrived) * 60.0 / :step AS float) AS arrived, CAST(sum(done) * 60.0 / :step AS float) AS done,
       CAST(sum(failed_attempts) * 60.0 / :step AS float) AS failed_attempts,
       CAST(sum(died) * 60.0 / :step AS float) AS died
FROM backlog_samples
WHERE at >= to_timestamp(floor(extract(epoch FROM clock_timestamp() - make_interval(secs => :seconds)) / :step) * :step)
GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Span:
    """What a chart covers; one point each ``step`` seconds."""

    seconds: int
    step: int


SPANS = {"hour": Span(3600, 60), "day": Span(86_400, 600)}


@dataclass(frozen=True, slots=True)
class LastMinute:
    """What happened in the last 60 seconds; a job that died, was retried and died again died twice."""

    arrived: int
    done: int
    failed_attempts: int
    died: int


def last_minute(connection: Connection) -> LastMinute:
    return LastMinute(**connection.execute(LAST_MINUTE).mappings().one())


def series(connection: Connection, span: Span) -> Sequence[dict[str, Any]]:
    """A point for each step that has samples, oldest first; ``at`` is its beginning in Unix seconds."""
    parameters = {"step": span.step, "seconds": span.seconds}
    return [dict(row) for row in connection.execute(SERIES, parameters).mappings()]


def claimed_lanes(redis: "Redis") -> int:
    """How many lanes are being run now. Raises RedisError."""
    return sum(1 for _ in redis.scan_iter(LANE_CLAIMS, count=KEYS_A_CALL))
