"""A repeat of what release 0.1.0 stored is known, though payments and calls have other keys today."""

import pytest

from tests.helpers import factories as f
from tests.helpers.core import Core

PAYMENT = f.payment_status("captured", transaction=f.transaction())
CALL = f.call()
AS_0_1_0 = {
    "payment": (
        f.body(f.statuses(PAYMENT)),
        f"status:{PAYMENT['id']}:captured::payment:{PAYMENT['payment']['transaction']['id']}:success",
    ),
    "call": (f.body(f.calls(CALL)), f"call:{CALL['id']}:connect"),
}


def stored_by_0_1_0(core: Core, body: f.Json, key: str) -> None:
    core.ingest(body)
    core.execute("UPDATE events SET key = :key", key=key)


@pytest.mark.parametrize(("body", "key"), AS_0_1_0.values(), ids=AS_0_1_0)
def test_a_repeat_of_an_event_that_an_earlier_release_stored_is_a_duplicate(
    core: Core, body: f.Json, key: str
) -> None:
    stored_by_0_1_0(core, body, key)
    core.ingest(body)
    core.ingest(body)
    assert [row.key for row in core.rows("SELECT key FROM event_jobs")] == [key]
    assert core.value("SELECT sum(duplicates) FROM deliveries") == 2


def test_a_refund_after_an_earlier_release_stored_the_payment_is_an_event_of_its_own(core: Core) -> None:
    body, key = AS_0_1_0["payment"]
    stored_by_0_1_0(core, body, key)
    refund = f.refund(1, "pending", f.NOW + 1)
    core.ingest(f.body(f.statuses(f.payment_status("captured", transaction=f.transaction(refund)))))
    assert core.value("SELECT count(*) FROM event_jobs") == 2
