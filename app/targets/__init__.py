"""Targets: events forwarded to an address over HTTP, each target a handler in a lane of its own name.

Promises: each event reaches its target at least once under the same id, in order in each conversation, whatever
fails in between; what a target answers leaves once. A slow target holds neither handlers nor other targets.
Relies on: Postgres for truth, and on a process ``forwarder`` that runs.
Cannot see: what a target did with what it took, but by its answer.
"""

from app.targets import lost, pauses
from app.targets.load import Loaded, TargetsError, load_targets
from app.targets.pauses import TargetPause
from app.targets.target import Target
from app.targets.trial import try_target

__all__ = ["Loaded", "Target", "TargetPause", "TargetsError", "load_targets", "lost", "pauses", "try_target"]
