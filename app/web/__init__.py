"""."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from app.web.process import start

        return start()
    raise AttributeError(name)
