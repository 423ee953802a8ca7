"""The command ``neverdrop``: what people do by hand.

Promises: personal data is masked unless ``--reveal`` is given.
Relies on: the packages below; each command is imported when it is called.
"""

from app.cli.entry import main

__all__ = ["main"]
