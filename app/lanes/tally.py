"""Which jobs a worker has run and how their attempts ended, as text for people who look at its task. Pure: no I/O."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.lanes.outcome import Outcome

MAX_NAMED = 50  # jobs; Celery cuts a result after 1,024 characters
NAMED = re.compile(r"\b(done|failed|dead|stale_attempt): (\d+(?:, \d+)*)")


@dataclass(slots=True)
class Tally:
    """Counts all, and names the first."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    named: list[tuple[Outcome, int]] = field(default_factory=list)

    def add(self, outcome: Outcome, job_id: int) -> None:
        """Record how an attempt of a job ended."""
        self.counts[outcome] += 1
        if len(self.named) < MAX_NAMED:
            self.named.append((outcome, job_id))

    def __str__(self) -> str:
        """``done: 17, 18; failed: 19``, with how many more there are; empty if nothing ran."""
        parts = []
        for outcome, count in self.counts.items():
            ids = [str(job_id) for of, job_id in self.named if of is outcome]
            more = f" ({count - len(ids)} more)" if count > len(ids) else ""
            parts.append(f"{outcome}: {', '.join(ids)}{more}")
        return "; ".join(parts)


def named_in(text: str) -> Iterator[tuple[str, list[int]]]:
    """Yield the outcomes that a text of a tally names, each with its jobs."""
    for outcome, ids in NAMED.findall(text):
        yield outcome, [int(each) for each in ids.split(", ")]
