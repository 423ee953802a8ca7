"""Run programs as children, and end every one of them.

Promises: when the parent ends or is killed, its children end. When a child ends, it is started again.
Relies on: a record on disk of each child, and a watchdog process that holds a pipe of the parent.
Cannot see: a child whose parent is killed between the start and the record, some microseconds.
"""

from app.dev.processes.children import Program, Records, Running, end, start
from app.dev.processes.parent_watchdog import ParentWatchdog, watch
from app.dev.processes.supervisor import Printer, Stopped, Supervisor, printer_for_terminal

__all__ = [
    "ParentWatchdog",
    "Printer",
    "Program",
    "Records",
    "Running",
    "Stopped",
    "Supervisor",
    "end",
    "printer_for_terminal",
    "start",
    "watch",
]
