"""Side by side: Neverdrop and what a team would write instead, on stores of their own.

  __main__   ``make bench``: which rows, how often                options   how much is measured
  rows/      what is measured: ack, pipeline, held, depth, tables, cost
  limits     what a rate of webhooks takes, reckoned from what an event costs
  measure    rounds, medians, ratios                              report, plots, machine   what is told
  subjects   Neverdrop and its peers as processes                 peers/    the peers' own code
  turn       one of them runs, alone                              stores    a Valkey and a Postgres for it
  load       senders, started together                            sender    one of them, tally what it counted
  bodies     signed traffic                                       handlers  Neverdrop's side of the work
  wrk, push  the same load from wrk; LPUSH as a limit             fill      tables as after years
  retention  how fast what is old goes       partitions  the events in parts (variants: how), planner: at any size
  profile    where the time goes, by py-spy

Nothing in ``app``, ``config`` or ``tasks`` knows of it.
"""
