"""."""

from app.cli.entry import main as main
