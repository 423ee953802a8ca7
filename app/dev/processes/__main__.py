"""The process of a parent watchdog: ``python -m app.dev.processes RECORDS``."""

import sys
from pathlib import Path

from app.dev.processes.children import Records
from app.dev.processes.parent_watchdog import main

main(Records(Path(sys.argv[1])))
