"""What never runs in production: the stack on one machine, the simulator, the demo.

Only ``app.cli`` imports from here.
"""

__all__ = ["data_directory", "handler_check"]
