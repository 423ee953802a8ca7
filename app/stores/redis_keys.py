"""Every key that Neverdrop keeps in Redis besides Celery's own. Pure: no I/O.

Each begins with REDIS_PREFIX, which ``prefixed_redis`` puts before it.

Redis is transport: all of these but the journal can be lost at any moment without losing an event.
Nothing that identifies a person (a wamid holds the phone number) is part of a key.
"""

JOURNAL = "journal"  # hash: delivery id → raw body, from acceptance until ingest has committed it
JOURNAL_INDEX = "journal:index"  # zset: delivery id → accept time, Unix milliseconds
JOURNAL_REQUEUED = "journal:requeued"  # zset: delivery id → when a sweep enqueued it again, Unix milliseconds
JOURNAL_REQUEUES = "journal:requeues"  # hash: delivery id → how often a sweep enqueued it again
WAKES = "lanes:woken"  # zset: lane → time of the wake that waits in the queue, Unix milliseconds
URGENT_WAKES = "lanes:woken:urgent"  # as WAKES, of those that stand before all others in the queue
BULK_WAKES = "lanes:woken:bulk"  # as WAKES, of those in the list that is looked at when the queue is empty
SWEPT_LANE = "lanes:swept"  # string: the lane up to which the last sweep looked, 0 at the end
# claim:lane:<number> and claim:job:<number> = token, with a lease
CLAIM_PREFIX = "claim:"
# claimed:<worker> = hash: claim → the pool process that has it and its token; beat:<process> → a number that grows
CLAIMED_PREFIX = "claimed:"
BEATS = "workers:beats"  # hash: worker → a number that grows each second while it is alive
UNKNOWN_HANDLERS = (
    "handlers:unknown"  # zset: handler that a worker did not know → when it was last met, Unix ms
)
WORKERS = "workers"  # zset: worker name → time of its last heartbeat, Unix seconds
RELEASES = (
    "releases"  # zset: process that is no worker, with its release → when it last said so, Unix seconds
)
DATABASE_ID = "database"  # string: which Postgres database this Redis belongs to
QUARANTINE = "quarantine"  # list: JSON of messages that could not be run, the newest first
QUARANTINE_COUNTS = "quarantine:counts"  # hash: queue → how many of its messages ever were
ALERT_PREFIX = (
    "alert:"  # alert:<name> = text of an alert that is raised while Postgres cannot keep it, expires
)
BEAT = "beat"  # string that expires soon after beat has published its last task
WRITE_CHECK = "write_check"  # string: written by whoever asks whether Redis takes writes, expires

OUTBOX_WAKE = "outbox:wake"  # string: a wake for the senders waits in their queue, expires
OUTBOX_RATE = "outbox:rate:"  # outbox:rate:<number> = hash: how many sends may leave at once, and as of when
OUTBOX_PAUSE = "outbox:pause:"  # outbox:pause:<number> = string that expires: until then nothing leaves
OUTBOX_FAILURES = (
    "outbox:failures:"  # outbox:failures:<number> = string: sends in a row that did not reach Meta
)
OUTBOX_LEVEL = "outbox:level:"  # outbox:level:<number> = string: Meta's throughput level, expires

TARGETS_WAKE = "targets:wake"  # list of at most one: targets have got jobs
TARGETS_HEALTH = "targets:health"  # hash: target and forwarder → JSON of how it goes, written every second


def lane_claim(lane: int) -> str:
    """The claim that lets one worker at a time run a lane."""
    return f"{CLAIM_PREFIX}lane:{lane}"


def claimed_by(worker: str) -> str:
    """What the processes of a worker have claimed."""
    return f"{CLAIMED_PREFIX}{worker}"


def job_claim(job_id: int) -> str:
    """The claim that lets one worker at a time run a job."""
    return f"{CLAIM_PREFIX}job:{job_id}"
