"""Which process holds a claim: a worker, by a number that is drawn when it starts, and one of its pool processes.

A worker's name does not tell: its successor has the same one. The pool's processes are forked, so they have the
number of their main process.
"""

import os
from dataclasses import dataclass, field
from uuid import uuid4

WORKER = uuid4().hex


@dataclass(frozen=True, slots=True)
class ClaimHolder:
    """A process that claims lanes."""

    worker: str = WORKER
    process: int = field(default_factory=os.getpid)
