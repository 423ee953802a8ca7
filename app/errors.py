"""The exceptions of Neverdrop that a caller may want to tell apart."""


class NeverdropError(Exception):
    """Base of all; its text says what to do next."""


class Permanent(NeverdropError):
    """Raised by a handler: trying again cannot help; the event is dead at once."""


class RetryAfter(NeverdropError):
    """Raised by a handler: try again no sooner than ``seconds`` from now."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"retry after {seconds} s")
        self.seconds = seconds
