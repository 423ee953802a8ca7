"""Reach Postgres and Redis: connections, tables, keys, prepared statements, scripts.

Promises: each timeout of a connection, each key in Redis and each column is defined once, here.
Relies on: ``DATABASE_URL`` and ``REDIS_URL``.
Cannot see: what the rows mean; the packages that read them know.
"""

from app.stores import connections, delivery_id, lifetimes, postgres_wait, redis_checks
from app.stores.chunks import chunks
from app.stores.connections import (
    engine,
    lane_engine,
    redis,
    retry_on_stale_connection,
    web_connection,
    web_engine,
    web_redis,
)
from app.stores.database_checks import RedisNotOurs, check_database
from app.stores.database_clock import database_now
from app.stores.delivery_id import accepted_at, accepted_ms
from app.stores.faults import STORE_ERRORS, Fault, judge, sqlstate
from app.stores.guarded_connection import TransactionError
from app.stores.job_models import MAIN_LANE_NAME
from app.stores.migrate import migrate
from app.stores.models import (
    MAX_ID,
    Base,
    Delivery,
    DeliveryState,
    JobState,
    MessageState,
    MessageStatus,
    StoredIn,
)
from app.stores.prefixed_redis import with_prefix
from app.stores.prepared import Prepared
from app.stores.recordset import bytea, recordset
from app.stores.redis_keys import (
    ALERT_PREFIX,
    BEAT,
    CLAIM_PREFIX,
    JOURNAL,
    JOURNAL_INDEX,
    JOURNAL_REQUEUED,
    JOURNAL_REQUEUES,
    OUTBOX_FAILURES,
    OUTBOX_LEVEL,
    OUTBOX_PAUSE,
    OUTBOX_RATE,
    OUTBOX_WAKE,
    QUARANTINE,
    QUARANTINE_COUNTS,
    SWEPT_LANE,
    UNKNOWN_HANDLERS,
    WAKES,
    WORKERS,
    WRITE_CHECK,
    job_claim,
    lane_claim,
)
from app.stores.repeat_models import ChangedDuplicate, SubjectState
from app.stores.scripts import script
from app.stores.send_models import SendAction, SendAttempt, SendRow, SendState, StoppedNumber

__all__ = [
    "ALERT_PREFIX",
    "BEAT",
    "CLAIM_PREFIX",
    "JOURNAL",
    "JOURNAL_INDEX",
    "JOURNAL_REQUEUED",
    "JOURNAL_REQUEUES",
    "MAIN_LANE_NAME",
    "MAX_ID",
    "OUTBOX_FAILURES",
    "OUTBOX_LEVEL",
    "OUTBOX_PAUSE",
    "OUTBOX_RATE",
    "OUTBOX_WAKE",
    "QUARANTINE",
    "QUARANTINE_COUNTS",
    "STORE_ERRORS",
    "SWEPT_LANE",
    "UNKNOWN_HANDLERS",
    "WAKES",
    "WORKERS",
    "WRITE_CHECK",
    "Base",
    "ChangedDuplicate",
    "Delivery",
    "DeliveryState",
    "Fault",
    "JobState",
    "MessageState",
    "MessageStatus",
    "Prepared",
    "RedisNotOurs",
    "SendAction",
    "SendAttempt",
    "SendRow",
    "SendState",
    "StoppedNumber",
    "StoredIn",
    "SubjectState",
    "TransactionError",
    "accepted_at",
    "accepted_ms",
    "bytea",
    "check_database",
    "chunks",
    "connections",
    "database_now",
    "delivery_id",
    "engine",
    "job_claim",
    "judge",
    "lane_claim",
    "lane_engine",
    "lifetimes",
    "migrate",
    "postgres_wait",
    "recordset",
    "redis",
    "redis_checks",
    "retry_on_stale_connection",
    "script",
    "sqlstate",
    "web_connection",
    "web_engine",
    "web_redis",
    "with_prefix",
]
