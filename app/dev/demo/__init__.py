"""Run the pipeline under traffic and a killed worker, and judge what became of every event.

Promises: touches nothing outside its own directory and ports, and removes its files.
Relies on: ``app.dev.stack`` for the processes, ``app.dev.simulator`` for the traffic.
Cannot see: a run of a handler that committed nothing.
"""
