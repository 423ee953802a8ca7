"""What a team would write instead of Neverdrop, each as its own documentation shows it.

All of them check the signature, all but ``pywa_bot`` and ``bare`` put the raw body into a queue and answer 200, and
their workers note each item once: SET NX on its id, then an INSERT (``items``). None of them keeps a journal, an
order, or what its queue lost.
"""
