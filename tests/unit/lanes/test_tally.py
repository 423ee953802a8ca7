"""What a task ``advance`` says of the jobs that it ran."""

from app.lanes.outcome import Outcome
from app.lanes.tally import MAX_NAMED, Tally, named_in


def test_the_first_are_named_and_all_are_counted() -> None:
    tally = Tally()
    assert str(tally) == ""
    for number in range(1, MAX_NAMED + 1):
        tally.add(Outcome.DONE, number)
    tally.add(Outcome.FAILED, 99)
    named = ", ".join(map(str, range(1, MAX_NAMED + 1)))
    assert str(tally) == f"done: {named}; failed:  (1 more)"
    assert list(named_in(repr(str(tally)))) == [("done", list(range(1, MAX_NAMED + 1)))]


def test_other_texts_name_none() -> None:
    assert list(named_in("Retry in 5s: ValueError('done')")) == []
    assert list(named_in("job 4: ValueError (failed: 4; done: 7, 8)")) == [("failed", [4]), ("done", [7, 8])]
