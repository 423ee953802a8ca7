"""Nothing unsigned gets in: checks that no forged post is accepted. Pure: no I/O."""

from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.verdict import Violation


def forged_posts_are_refused(facts: Facts) -> Iterator[Violation | None]:
    """No post that was signed with a wrong secret got a 200."""
    for entry in facts.entries:
        if entry.forged:
            yield Violation("a forged post got a 200") if entry.acknowledged else None
