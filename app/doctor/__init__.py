"""Examine a deployment: stores, processes, settings, and what Meta says of the app.

Promises: nothing is changed, but for the one event of ``--deliver`` and the owner that a new Redis gets; each finding
says what it is, why it matters and how to fix it, and has an entry in the runbook (docs/operations.md).
Relies on: both stores answering; one that does not is a finding itself.
Cannot see: whether Meta sends anything at this moment.
"""

from app.doctor.examination import Outside, everything, stores
from app.doctor.finding import Finding, Level
from app.doctor.outside import handshake
from app.doctor.processes import Worker, ask_workers, differences, lacking, others
from app.doctor.runbook import CHECKED_AT_START, CHECKS

__all__ = [
    "CHECKED_AT_START",
    "CHECKS",
    "Finding",
    "Level",
    "Outside",
    "Worker",
    "ask_workers",
    "differences",
    "everything",
    "handshake",
    "lacking",
    "others",
    "stores",
]
