"""Run the pipeline under traffic and a killed worker, and judge what became of every event.

Promises: nothing outside its own directory and ports is touched, and nothing of it stays.
Relies on: ``app.dev.stack`` for the processes, ``app.dev.simulator`` for the traffic.
Cannot see: a run of a handler that committed nothing.
"""
