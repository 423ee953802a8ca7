"""Every check by its name, as the runbook in docs/operations.md has it. Pure: no I/O."""

from app.watch import AlertName

# Why each alert matters; what to do is in REMEDIES
ALERTS: dict[str, str] = {
    AlertName.BACKLOG_SIZE: "users wait",
    AlertName.BACKLOG_GROWTH: "users wait longer and longer",
    AlertName.BACKLOG_AGE: "somebody waits",
    AlertName.DEAD_LETTERS: "nobody has handled these events",
    AlertName.NO_WORKER: "no message is answered",
    AlertName.NO_INGEST: "nothing leaves the journal, and nothing is swept",
    AlertName.NO_SENDER: "replies wait",
    AlertName.NO_BEAT: "nothing is swept, and no failed attempt is repeated",
    AlertName.UNHANDLED: "nobody took these messages",
    AlertName.DATABASE_DOWN: "deliveries are safe in the journal; nothing is split or run",
    AlertName.READ_ONLY: "nothing is split or run",
    AlertName.REDIS_DOWN: "deliveries go to Postgres, and handlers wait",
    AlertName.FALLBACK_STORE: "web could not write to Redis in time",
    AlertName.SIGNATURES_REFUSED: "Meta repeats what was refused for 7 days, then it is lost",
    AlertName.UNKNOWN_HANDLER: "events wait for that handler",
    AlertName.QUARANTINE: "somebody else writes to this Redis, or another release",
    AlertName.TARGETS_STOPPED: "what comes for them waits",
    AlertName.TARGETS_FAILING: "what comes for them waits",
    AlertName.NO_FORWARDER: "targets get nothing",
    AlertName.REPLIES_DEAD: "users did not get them",
    AlertName.REPLIES_STOPPED: "nothing leaves from that number",
}
STORES = (
    "redis_persistence", "redis_eviction", "redis_cluster", "redis_unknown", "redis_version", "redis_role",
    "redis_replication", "redis_disk", "redis_memory", "redis_connections", "redis_clock", "redis_owner",
    "postgres_version", "postgres_durability", "postgres_vacuum", "postgres_connections", "postgres_transaction",
    "postgres_indexes", "postgres_pooler", "postgres_replication", "postgres_clock", "schema",
)  # fmt: skip
# What every process looks at and logs by itself when it starts
CHECKED_AT_START = frozenset(
    {
        "redis_persistence", "redis_eviction", "redis_cluster", "redis_unknown", "redis_owner", "redis_down",
        "postgres_durability", "database_down",
    }
)  # fmt: skip
PROCESSES = ("versions", "handlers", "dead_letter_queue", "paused")
CONFIGURATION = (
    "settings",
    "handler_modules",
    "targets",
    "secrets",
    "flower",
    "metrics",
    "alerting",
    "retention",
    "media_store",
    "disk",
    "masking",
)
META = (
    "meta_token", "meta_scopes", "meta_app_secret", "meta_callback_url", "meta_override", "meta_fields",
    "meta_subscribed_app", "meta_other_apps", "meta_account", "meta_live", "meta_health", "meta_number",
    "meta_quality", "meta_throughput", "meta_version", "meta_handshake", "unsigned", "deliver",
)  # fmt: skip
CHECKS = frozenset((*ALERTS, *STORES, *PROCESSES, *CONFIGURATION, *META))
