"""Bytes before the signature is known: one budget, and the slowest pay for it."""

from app.web.body_budget import BodyBudget, Holder


class Request:
    """A connection that says whether it was evicted."""

    def __init__(self, budget: BodyBudget) -> None:
        self.evicted = False
        self._budget = budget
        self.holder = Holder(self._evict)

    def _evict(self) -> None:
        self.evicted = True
        self._budget.release(self.holder)


def test_below_the_budget_nobody_is_evicted() -> None:
    budget = BodyBudget(max_bytes=100)
    requests = [Request(budget) for _ in range(10)]
    for request in requests:
        budget.add(request.holder, 10, now=0)
    assert budget.num_bytes == 100
    assert not any(request.evicted for request in requests)


def test_above_it_the_slowest_are_evicted_and_the_fast_stay() -> None:
    budget = BodyBudget(max_bytes=100)
    slow = [Request(budget) for _ in range(9)]
    fast = Request(budget)
    for request in slow:
        budget.add(request.holder, 10, now=0)
    budget.add(fast.holder, 20, now=10)
    assert not fast.evicted
    assert sum(request.evicted for request in slow) == 4
    assert budget.num_bytes == 70


def test_of_those_that_have_just_begun_the_largest_are_evicted() -> None:
    budget = BodyBudget(max_bytes=100)
    large, small = Request(budget), Request(budget)
    budget.add(large.holder, 90, now=0)
    budget.add(small.holder, 20, now=0.1)
    assert (large.evicted, small.evicted) == (True, False)


def test_what_is_released_counts_no_more() -> None:
    budget = BodyBudget(max_bytes=100)
    request = Request(budget)
    budget.add(request.holder, 60, now=0)
    budget.release(request.holder)
    budget.release(request.holder)
    assert budget.num_bytes == 0
    budget.add(request.holder, 60, now=0)
    assert (budget.num_bytes, request.evicted) == (60, False)
