"""The command ``neverdrop``: what people do by hand.

Promises: personal data is masked unless ``--reveal`` is given.
Relies on: the other packages of ``app``, which do the work. A command is imported when it is called.
"""

from app.cli.entry import main

__all__ = ["main"]
