"""How much is measured: the sizes that a run can choose."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.subjects.catalog import Subject
from bench.subjects.turn import turn


@dataclass(frozen=True, slots=True)
class Options:
    """Counts are events, times seconds."""

    data: Path  # where the stores are; removed after the run
    rounds: int = 5
    seconds: float = 5  # of each measurement at full speed
    events: int = 10_000_000  # in the tables of the row ``tables``
    drain: int = 10_000
    deep: int = 200_000
    shallow: int = 2_000
    hot: int = 20_000
    waiting: int = 400  # for handlers that wait
    idle_posts: int = 100
    hold_seconds: float = 300
    hold_rates: tuple[int, ...] = tuple(range(250, 4_001, 250))
    load_processes: int = 1
    wrk: bool = False
    logs: Path | None = None

    @classmethod
    def quick(cls, data: Path, **more: Any) -> "Options":
        """Everything once and small: it shows that it works, and no figure of it is worth quoting."""
        sizes: dict[str, Any] = {
            "rounds": 1, "seconds": 2, "events": 200_000, "drain": 1_000, "deep": 10_000, "shallow": 1_000,
            "hot": 1_000, "waiting": 100, "idle_posts": 20, "hold_seconds": 10, "hold_rates": (100, 250, 500, 1_000),
        }  # fmt: skip
        return cls(data, **{**sizes, **more})

    def turn(self, subject: Subject, **more: Any) -> Any:
        """A turn of this subject, in a directory of its own that later turns find again."""
        name = more.pop("name", subject.name).replace(" ", "-")
        logs = self.logs and self.logs / name
        return turn(subject, self.data / name, logs=logs, **more)
