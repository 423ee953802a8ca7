"""What a person's decision changed, and why it left the other jobs alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

STATES = text("SELECT id, state::text FROM event_jobs WHERE id = ANY(:ids)")


@dataclass(slots=True)
class ActionResult:
    """The jobs that a decision changed, and why it refused the others."""

    changed: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # job's number → why


def add_refusals(
    engine: Engine,
    ids: Sequence[int],
    result: ActionResult,
    expected: str = "dead",
    reasons: Mapping[str, str] | None = None,
) -> None:
    """Add why the other jobs were left alone: somebody else got there first, or there is no such job.

    ``expected``: what a job must be for the decision; ``reasons``: state → why a job in it was refused.
    """
    left = [id_ for id_ in ids if id_ not in set(result.changed) and id_ not in result.refused]
    if not left:
        return
    with engine.connect() as connection:
        states = {row.id: row.state for row in connection.execute(STATES, {"ids": left})}
    for id_ in left:
        state = states.get(id_)
        if state is None:
            result.refused[id_] = "there is no job with this number"
        else:
            result.refused[id_] = (reasons or {}).get(state, f"it is {state}, not {expected}")
