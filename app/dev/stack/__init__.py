"""Run every process and both stores on one machine.

Promises: the stack is ready when its web can store and each consumer answers; its data stays between runs.
Relies on: Valkey and Postgres from wheels where no URL names others.
Cannot see: another stack's processes on the same stores, where URLs name them.
"""

from app.dev.stack.embedded import DURABLE, FORGETFUL, Server, free_port, launch, postgres, valkey
from app.dev.stack.stack import Plan, Stack, running

__all__ = [
    "DURABLE",
    "FORGETFUL",
    "Plan",
    "Server",
    "Stack",
    "free_port",
    "launch",
    "postgres",
    "running",
    "valkey",
]
