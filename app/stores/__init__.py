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
    sender_engine,
    web_connection,
    web_engine,
    web_redis,
)
from app.stores.database_checks import RedisNotOurs, check_database
from app.stores.database_clock import database_now
from app.stores.delivery_id import accepted_at, accepted_ms
from app.stores.dialog_models import DialogRow
from app.stores.erasure_models import ErasedKey, Erasure
from app.stores.faults import REFUSALS, STORE_ERRORS, Fault, is_items_fault, judge, sqlstate
from app.stores.guarded_connection import TransactionError
from app.stores.job_models import MAIN_LANE_NAME
from app.stores.lane_priority import FIRST_NUMBERS, Priority, priority_of
from app.stores.migrate import migrate, schema_state
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
    BEATS,
    BULK_WAKES,
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
    RELEASES,
    SWEPT_LANE,
    TARGETS_HEALTH,
    TARGETS_WAKE,
    UNKNOWN_HANDLERS,
    URGENT_WAKES,
    WAKES,
    WORKERS,
    WRITE_CHECK,
    claimed_by,
    job_claim,
    lane_claim,
)
from app.stores.repeat_models import ChangedDuplicate, SubjectState
from app.stores.scripts import script
from app.stores.send_models import SendAction, SendAttempt, SendRow, SendState, StoppedNumber
from app.stores.session_options import SERVER_KEEPALIVE, driver_url
from app.stores.target_models import PausedTarget

__all__ = [
    "ALERT_PREFIX",
    "BEAT",
    "BEATS",
    "BULK_WAKES",
    "CLAIM_PREFIX",
    "FIRST_NUMBERS",
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
    "REFUSALS",
    "RELEASES",
    "SERVER_KEEPALIVE",
    "STORE_ERRORS",
    "SWEPT_LANE",
    "TARGETS_HEALTH",
    "TARGETS_WAKE",
    "UNKNOWN_HANDLERS",
    "URGENT_WAKES",
    "WAKES",
    "WORKERS",
    "WRITE_CHECK",
    "Base",
    "ChangedDuplicate",
    "Delivery",
    "DeliveryState",
    "DialogRow",
    "ErasedKey",
    "Erasure",
    "Fault",
    "JobState",
    "MessageState",
    "MessageStatus",
    "PausedTarget",
    "Prepared",
    "Priority",
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
    "claimed_by",
    "connections",
    "database_now",
    "delivery_id",
    "driver_url",
    "engine",
    "is_items_fault",
    "job_claim",
    "judge",
    "lane_claim",
    "lane_engine",
    "lifetimes",
    "migrate",
    "postgres_wait",
    "priority_of",
    "recordset",
    "redis",
    "redis_checks",
    "retry_on_stale_connection",
    "schema_state",
    "script",
    "sender_engine",
    "sqlstate",
    "web_connection",
    "web_engine",
    "web_redis",
    "with_prefix",
]
