"""Run every process and both stores on one machine.

Promises: what is started is ended together with its parent, however that ends.
Relies on: Valkey and Postgres from wheels where no URL names others.
"""
