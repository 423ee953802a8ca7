"""Time for code that waits."""

from collections.abc import Callable


class Clock:
    """Stands in for the module ``time``: time passes only when somebody sleeps, and ``meanwhile`` happens then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.meanwhile: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()
