"""Queues, task names, routes, schedule and limits: everything Celery is told. Pure: no I/O.

The names are here so that ``app`` can enqueue a task without importing ``tasks``. Each option that is not
Celery's default says why it is set.
"""

from typing import Any

from kombu import Exchange, Queue

from config.settings import Settings

# Queues
WEBHOOKS = "webhooks"  # bodies to be split into events
CONVERSATIONS = "conversations"  # lanes that have work
OUTBOX = "outbox"  # wakes for the senders
MAINTENANCE = "maintenance"  # sweeps and watches
DEAD_LETTERS = (
    "dead_letters"  # one message per dead event, consumed by nobody: its length is what people watch
)
TARGETS = "targets"  # no queue: what forwarders, which are no Celery workers, say that they consume
# kombu's list of the messages of ``conversations`` with the last priority, which it looks at when the queue is empty
BULK_PRIORITY = 9
BULK_CONVERSATIONS = f"{CONVERSATIONS}\x06\x16{BULK_PRIORITY}"
QUEUES = (WEBHOOKS, CONVERSATIONS, OUTBOX, MAINTENANCE, DEAD_LETTERS)

# Tasks
INGEST = "ingest"
ADVANCE = "advance"
SEND = "send"
RETRY_DEAD_LETTER = "retry_dead_letter"
SWEEP_DUE = "sweep_due"
SWEEP_STORED = "sweep_stored"
SWEEP_LOST = "sweep_lost"
SWEEP_OUTBOX = "sweep_outbox"
SWEEP_DEAD_LETTERS = "sweep_dead_letters"
WATCH_BACKLOG = "watch_backlog"
PURGE = "purge"
ROUTES = {
    INGEST: WEBHOOKS,
    ADVANCE: CONVERSATIONS,
    SEND: OUTBOX,
    RETRY_DEAD_LETTER: MAINTENANCE,
    SWEEP_DUE: MAINTENANCE,
    SWEEP_STORED: MAINTENANCE,
    SWEEP_LOST: MAINTENANCE,
    SWEEP_OUTBOX: MAINTENANCE,
    SWEEP_DEAD_LETTERS: MAINTENANCE,
    WATCH_BACKLOG: MAINTENANCE,
    PURGE: MAINTENANCE,
}
# Seconds between runs
SCHEDULE = {
    SWEEP_DUE: 1.0, SWEEP_STORED: 1.0, SWEEP_LOST: 5.0, SWEEP_OUTBOX: 1.0, SWEEP_DEAD_LETTERS: 10.0,
    WATCH_BACKLOG: 10.0, PURGE: 60.0
}  # fmt: skip

LOST_SECONDS = 1.0  # that the result of a task may still come whose process is dead; Celery's own is 10
SOFT_SHUTDOWN_SECONDS = 20  # below the 30 s that Heroku gives between SIGTERM and SIGKILL
RESTORE_INTERVAL_SECONDS = 5
RESTORE_MUTEX_SECONDS = 30  # a killed sweeper's mutex blocks all restores for this long; the default is 300
MAINTENANCE_TIME_LIMIT_SECONDS = 60


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration for every process; the consumers differ only in their ``-Q``."""
    endpoint = settings.redis
    config: dict[str, Any] = {
        "broker_url": endpoint.broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives any outage of Redis
        "broker_channel_error_retry": True,  # and one that refuses commands: a standby, or one that is full
        "broker_transport_options": {
            # Redelivery is a hint only (the tables are the truth), but it must not come while a task runs.
            "visibility_timeout": settings.visibility_timeout_seconds,
            "unacked_restore_interval": RESTORE_INTERVAL_SECONDS,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": RESTORE_MUTEX_SECONDS,
            # Only with the acknowledgements of ``app.broker.channel``: with kombu's own a worker stops consuming for
            # good after a stall that is longer than this.
            "socket_timeout": settings.redis_timeout_seconds,
            "socket_connect_timeout": settings.redis_timeout_seconds,
            "health_check_interval": 2
            * settings.redis_timeout_seconds,  # a silent BRPOP is dropped after two
            **endpoint.keepalive,
            "global_keyprefix": settings.key_prefix,  # as ``app.stores`` puts it before all other keys
        },
        "task_queues": [Queue(name, Exchange(""), routing_key=name) for name in QUEUES],
        "task_default_queue": MAINTENANCE,
        "task_create_missing_queues": False,
        "task_routes": {task: {"queue": queue} for task, queue in ROUTES.items()},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,  # True loops for ever on an event that kills its worker
        "task_time_limit": settings.advance_time_limit_seconds,
        "worker_prefetch_multiplier": 1,
        "worker_lost_wait": LOST_SECONDS,  # meanwhile a place of the pool is taken by what nobody runs
        # A handler that runs while Redis is away finishes and commits; its message, given out again, finds it done.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_SECONDS,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,  # the worker process asks for them with -E; ingest does without
        "event_queue_ttl": 60,
        "event_queue_expires": 120,
        "beat_schedule": {
            # Without "expires", which compares the clocks of two machines: ``tasks.maintenance`` bounds a pile-up.
            task: {"task": task, "schedule": every}
            for task, every in SCHEDULE.items()
            if task != PURGE or settings.retention_days is not None
        },
        "beat_scheduler": "celery.beat.Scheduler",  # in memory: Celery's own file is a pickle, which runs what it holds
        "timezone": "UTC",
        "enable_utc": True,
    }
    if endpoint.ssl:
        config["broker_use_ssl"] = endpoint.ssl
    return config
