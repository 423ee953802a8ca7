"""Count what the checks of each promise looked at, and keep the violations. Pure: no I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.dev.judge.facts import Facts

MAX_SENTENCES = 100  # of the violations of one promise that are kept


@dataclass(frozen=True, slots=True)
class Violation:
    """A sentence, and the keys of the events whose history shows it."""

    sentence: str
    keys: tuple[str, ...] = ()


# A check yields None for each thing that it looked at and that is right, and a violation for what is not
Check = Callable[[Facts], Iterator[Violation | None]]


@dataclass(slots=True)
class Verdict:
    """One promise: how much was looked at, how much of it was broken, and the sentences of the first of these."""

    promise: str
    checked: int = 0
    violations: int = 0
    first: Violation | None = None
    history: list[str] = field(default_factory=list)  # of the events of the first violation
    sentences: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not self.violations

    def count(self, violation: Violation | None) -> None:
        """Count one thing that was looked at."""
        self.checked += 1
        if violation is not None:
            self.violations += 1
            self.first = self.first or violation
            if len(self.sentences) < MAX_SENTENCES:
                self.sentences.append(violation.sentence)


def judge(facts: Facts, promises: Mapping[str, Sequence[Check]]) -> list[Verdict]:
    """Return a verdict for each promise, from the checks that stand for it, in the order given."""
    return [_verdict(facts, promise, checks) for promise, checks in promises.items()]


def _verdict(facts: Facts, promise: str, checks: Sequence[Check]) -> Verdict:
    verdict = Verdict(promise)
    for check in checks:
        for violation in check(facts):
            verdict.count(violation)
    if verdict.first:
        verdict.history = [f"{key}: {line}" for key in verdict.first.keys for line in facts.history(key)]
    return verdict
