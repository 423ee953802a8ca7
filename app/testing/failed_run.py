"""An attempt that failed, as a test looks at it. Pure: no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailedRun:
    """One failed attempt of a handler."""

    handler: str
    attempt: int
    error: str  # as "Class: text"
    traceback: str
    dead: bool  # it is not tried again
    asked: bool = False  # the handler itself asked to be run again later: no fault

    def is_of(self, wanted: type[BaseException] | str | None) -> bool:
        """Return whether it failed with this exception, or with these words in its error."""
        if wanted is None:
            return True
        if isinstance(wanted, str):
            return wanted in self.error
        return self.error.partition(":")[0].rpartition(".")[2] == wanted.__name__

    def __str__(self) -> str:
        then = "and is dead" if self.dead else "and is tried again later"
        return f"{self.handler} failed in attempt {self.attempt}: {self.error} ({then})"
