"""Neverdrop, file by file, in the order of an event's way.

webhook      the HTTP endpoint: signature, then intake, then 200
signature    who may post: HMAC-SHA256 over the raw bytes
intake       makes a body durable: journal and queue in one write, Postgres as the second door
envelope     the bytes of a Celery message, as Celery itself would send them
payload      a body → events (pure)
ingest       bodies → rows: deliveries, events, statuses, conversations, in one transaction
conversations  which conversation an event belongs to, whatever name its user goes by today
statuses     a message's status only moves forward
lane         one conversation's events, one at a time, in order
claims       who is working on a lane: SET NX with a lease
retry        after a failure: when again, or never (pure)
handlers/    the team's own code, and what it is given
dead_letters what failed for good: list, show, retry, discard
sweeper      finds what was lost and enqueues it again
backlog      how much waits, how old it is, who works on it
alerts       raises and clears what backlog found
models       the tables            connections  Postgres and Redis, opened once a process
redis_keys   every key in Redis    cli          the ``neverdrop`` command
devstack     ``neverdrop up``      simulator    traffic as Meta would send it

Arrows go one way: ``tasks`` → ``app`` → ``config``.
"""
