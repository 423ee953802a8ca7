"""What each of Meta's error codes means for a send."""

import itertools

import pytest

from app.graph.codes import CODES, Remedy, find, remedy_for

REMEDIES = {
    Remedy.AGAIN: (1, 2, 131000, 131016, 131057, 133000, 133004),
    Remedy.THROTTLE: (4, 80007, 130429, 131048, 133016),
    Remedy.WAIT_PAIR: (131056,),
    Remedy.STOP: (0, 3, 10, 190, 200, 250, 299, 368, 131005, 131031, 131037, 131042, 131045, 133010),
    Remedy.DEAD: (
        100, 130472, 130497, 131008, 131009, 131021, 131026, 131030, 131047, 131049, 131050, 131051, 131052, 131053,
        131062, 131063, 131064, 132000, 132001, 132005, 132015, 132018, 132069, 135000, 137000,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("remedy", "code"), [(remedy, code) for remedy, codes in REMEDIES.items() for code in codes]
)
def test_a_code_has_its_remedy(remedy: Remedy, code: int) -> None:
    assert remedy_for(code) is remedy


def test_every_row_is_tried_above() -> None:
    tried = {find(code) for codes in REMEDIES.values() for code in codes}
    assert set(CODES) == tried


@pytest.mark.parametrize(("transient", "remedy"), [(True, Remedy.AGAIN), (False, Remedy.DEAD)])
def test_of_a_code_that_is_in_no_row_metas_own_word_decides(transient: bool, remedy: Remedy) -> None:
    assert remedy_for(999_999, transient=transient) is remedy


def test_no_code_is_in_two_rows() -> None:
    rows = sorted((row.first, row.last) for row in CODES)
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(rows))
