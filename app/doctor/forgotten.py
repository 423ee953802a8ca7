"""Examine what people have left: conversations that were paused without an end, a day ago and more."""

from collections.abc import Iterator
from datetime import UTC

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.doctor.finding import Finding, Level

FORGOTTEN_SECONDS = 24 * 3600
PAUSED = text("""
SELECT count(DISTINCT l.id) AS lanes, count(j.id) AS waiting, min(l.paused_at) AS since
FROM lanes l LEFT JOIN jobs j ON j.lane = l.id
WHERE l.paused_until IS NULL AND l.paused_at < clock_timestamp() - make_interval(secs => :seconds)
""")


def examine(engine: Engine) -> Iterator[Finding]:
    """Yield pauses that nobody has ended; nothing where Postgres is away, which is a finding of its own."""
    try:
        with engine.connect() as connection:
            row = connection.execute(PAUSED, {"seconds": FORGOTTEN_SECONDS}).one()
    except SQLAlchemyError:
        return
    if row.lanes:
        yield Finding(
            "paused",
            f"conversations that are paused without an end: {row.lanes}, the first since"
            f" {row.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}; {row.waiting} of their jobs wait",
            "the bot is silent there until somebody resumes it, and no alert counts what waits",
            "see `neverdrop paused`, then `neverdrop resume`; next time pause with --for",
            Level.ADVICE,
        )
