"""What a team would write instead of Neverdrop, each as its own documentation shows it.

All check the signature, all but ``pywa_bot`` put the raw body into a queue and answer 200, and their workers note each
item once: SET NX on its id, then an INSERT (``items``). None of them keeps a journal, an order, or what its queue lost.
``bare`` and ``durable`` are limits: they answer, and do next to nothing.
"""
