"""Neverdrop, package by package, in the order of an event's way.

  web            HTTP: the signature, then intake, then 200; /healthz, /readyz, /metrics
  intake         makes a body durable: the primary store (Redis), else the fallback store (Postgres)
  payload        a body → events: what is in it, the key of each item, and who it is from; pure
  ingest         bodies → rows, in one transaction
  broker         connects to Celery: the application, its messages, wakes
  lanes          runs the events of a conversation one at a time, in order
  handlers       the team's own code, and what it is given
  outbox         what handlers send: written in their transaction, posted once, settled by statuses
  graph          Meta's Graph API: messages, answers, codes
  targets        forwards events to addresses over HTTP, each target in lanes of its own
  dead_letters   what failed: a person retries, edits, discards or skips it
  replays        has events run again that are done, or that no handler took
  recovery       finds what was lost and enqueues it again; deletes what was finished long ago
  erasure        deletes all that is stored of a person, and looks whether anything is left
  watch          backlog, heartbeats and alerts
  views          what people look at: read only
  stores         connections, tables, keys and scripts
  doctor         examines stores, processes, settings and what Meta says of the app
  flower         our pages in Flower
  cli            the command ``neverdrop``
  dev            what never runs in production: the stack on one machine, the simulator, the demo
  testing        the pytest plugin for the team's own tests

Arrows go one way: ``tasks`` → ``app`` → ``config``; ``testing`` alone stands above ``tasks``.
"""
