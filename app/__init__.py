"""Neverdrop, file by file, in the order of an event's way.

Receiving
  web            the web process            gateway        requests on one event loop: ASGI outside, Flask inside
  http_guard     uvicorn's HTTP, with an end to what a client may take
  webhook        the HTTP endpoint: signature, intake, then 200
  signature      who may post               rejections     what was refused, counted and told now and then
  intake         makes a body durable: the first door, else the second
  group_commit   requests that arrive during a write are written together by the next one
  first_door     journal and queue in Redis, in one write (kept_connection: one command at a time, one number)
  second_door    Postgres, when Redis cannot take it (postgres_wait ends a wait that lasts too long)
  delivery_id    a delivery's name, which sorts by acceptance
  envelope       the bytes of a Celery message, as Celery itself would send them
  redis_checks   whether Redis keeps what it is given
  health         /healthz and /readyz
Storing
  waiting        deliveries in the queue, taken along by an ingest that is at work
  payload        a body → events; items (what is in it), identity (an item's key), names (whose it is)
  ingest         bodies → rows, in one transaction
  conversations  which conversation an event belongs to, whatever name its user goes by today
  statuses       a message's status only moves forward
Handling
  celery_app     the Celery application of every process, on REDIS_URL
  broker_channel what Celery's workers have to Redis, mended
  wakes          tells the workers that a lane has work; pace says how much a worker takes at a time
  lane           one conversation's events, one at a time, in order (attempt: one run of a handler)
  lane_statements  what a lane asks of Postgres, and the fence
  claims         who is working on a lane: SET NX with a lease; keeper renews it, and gives lanes up
  time_limit     stops a handler that runs too long
  retry          after a failure: when again, or never
  handlers/      the team's own code, and what it is given
  dead_letters   what failed for good: retry, edit, discard (dead_letter_list finds them)
  pauses         a person takes a conversation over, and gives it back
Recovering and watching
  sweeper        finds what was lost and enqueues it again
  heartbeats     which workers are alive     backlog   how much waits, how old it is, who works on it
  alerts         raises and clears what backlog found (probe asks a store without waiting long)
  metrics        /metrics                    reporting Sentry
  timeline       a message's whole story
  retention      deletes what was finished long ago
  flower/        our pages in Flower: overview and lane_events are what they show beside dead letters
Stores
  prepared       statements that are planned once a connection      recordset  rows as one parameter of a statement
  models, migrate, migrations/               connections, redis_keys, scripts (Lua beside its Python)
By hand
  cli            the command ``neverdrop``: commands, dead_commands, dead_decisions, dead_options, pause_commands,
                 purge_command, explain; masked and terminal for their output
  simulator      traffic as Meta sends it (traffic, traffic_items: what to send, as data)
  demo           the pipeline under a killed worker; verdict judges what became of every event
On one machine
  devstack       ``neverdrop up``            stack     stores and processes, started and ended together
  pipeline       every process's command line          processes, supervisor, warden   running them
  embedded       Valkey and Postgres from wheels       data_directory, readiness

Arrows go one way: ``tasks`` → ``app`` → ``config``.
"""
