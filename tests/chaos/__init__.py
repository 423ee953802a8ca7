"""The fault test behind the promises: real processes under load, faults by a seeded schedule, and a checker.

    python -m tests.chaos --seconds 900 --seed 7

``bodies`` makes the traffic, ``sender`` posts it as persistently as Meta, ``schedule`` draws the faults and ``faults``
acts on the processes of ``cluster``. At the end ``app.dev.judge`` reads what a user could read, and holds it
against the sender's ledger, promise by promise.
"""
