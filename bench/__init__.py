"""Side by side: Neverdrop and what a team would write instead, on stores of their own.

  __main__     ``make bench``: chooses the rows and repeats them
  options      how many events and seconds each row takes
  measure      rounds, medians, ratios
  rows         what is measured: ack, pipeline, held, depth, tables, cost
  subjects     Neverdrop and its peers as processes, on stores of their own, a turn each
  peers        the peers' own code
  traffic      bodies, senders and the tally of their answers; wrk and LPUSH as limits
  report       tables, Markdown, plots; what a rate of webhooks takes
  retention    how fast what is old is deleted
  statements   what one statement costs by the way in which it is sent
  profile      where the time goes, by py-spy

Nothing in ``app``, ``config`` or ``tasks`` knows of it.
"""
