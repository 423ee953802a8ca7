"""For how long something is the same, and what a watcher knows that was away itself."""

from app.lanes.silence import MAX_GAP_SECONDS, Silence


def test_what_changes_is_silent_for_no_time() -> None:
    silence: Silence[str] = Silence()
    assert silence.look(0, {"a": 1, "b": 1}) == {"a": 0, "b": 0}
    assert silence.look(2, {"a": 1, "b": 2}) == {"a": 2, "b": 0}
    assert silence.look(4, {"a": 1, "b": 2}) == {"a": 4, "b": 2}


def test_what_is_gone_and_comes_back_is_new() -> None:
    silence: Silence[str] = Silence()
    silence.look(0, {"a": 1})
    silence.look(1, {})
    assert silence.look(2, {"a": 1}) == {"a": 0}


def test_a_watcher_that_was_stopped_counts_from_its_return() -> None:
    silence: Silence[str] = Silence()
    silence.look(0, {"a": 1})
    assert silence.look(MAX_GAP_SECONDS + 1, {"a": 1}) == {"a": 0}
