"""``python -m app.targets`` is the process forwarder."""

from app.targets.process import main

main()
