"""A message's status only moves forward, however its updates arrive."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from app.ingest import statuses
from app.payload.parse import StatusUpdate
from app.stores.models import MessageStatus
from tests.helpers import factories as f
from tests.helpers.core import Core

TIMES = {status: f.NOW + 10 * place for place, status in enumerate(MessageStatus)}


def status_row(core: Core, number: int = 1, participant: str = "") -> Any:
    """What the table says of a message that we sent."""
    (row,) = core.rows(
        "SELECT * FROM message_statuses WHERE message_id = :id AND participant = :participant",
        id=f.wamid(number),
        participant=participant,
    )
    return row


def receive_status(core: Core, state: str, **more: Any) -> None:
    core.ingest(f.body(f.statuses(f.status(state, timestamp=str(TIMES[MessageStatus(state)]), **more))))


def test_in_every_order_of_arrival_the_end_is_the_same(core: Core) -> None:
    orders = list(permutations(MessageStatus))
    with core.engine.begin() as connection:
        for step in range(len(MessageStatus)):
            updates = [
                (
                    StatusUpdate(f"wamid.{number}", "", order[step].value, TIMES[order[step]]),
                    datetime.now(UTC),
                )
                for number, order in enumerate(orders)
            ]
            statuses.move_forward(connection, updates)
    ends = core.rows(
        "SELECT DISTINCT status, sent_at, failed_at, delivered_at, read_at, played_at FROM message_statuses"
    )
    times = [datetime.fromtimestamp(TIMES[status], UTC) for status in MessageStatus]
    assert [tuple(row) for row in ends] == [("played", *times)]
    assert core.value("SELECT count(*) FROM message_statuses") == len(orders)


@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])))
def test_a_status_never_goes_back_on_its_way(core: Core, order: tuple[str, ...]) -> None:
    rank = list(MessageStatus).index
    furthest = -1
    for state in order:
        receive_status(core, state)
        now = rank(MessageStatus(status_row(core).status))
        assert now == max(furthest, rank(MessageStatus(state)))
        furthest = now


def test_statuses_of_one_body_count_too(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("read"), f.status("sent"), f.status("delivered"))))
    assert status_row(core).status == "read"


def test_a_failure_after_a_read_can_still_be_seen(core: Core) -> None:
    receive_status(core, "read")
    receive_status(core, "failed")
    assert (status_row(core).status, status_row(core).failed_at is not None) == ("read", True)


def test_the_same_status_again_keeps_its_first_time(core: Core) -> None:
    receive_status(core, "read")
    receive_status(core, "read")
    assert status_row(core).read_at == datetime.fromtimestamp(TIMES[MessageStatus.READ], UTC)


def test_a_status_without_a_time_counts_from_its_acceptance(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("sent", timestamp=None))))
    assert datetime.now(UTC) - status_row(core).sent_at < timedelta(minutes=1)


def test_participants_of_a_group_have_statuses_of_their_own(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.group_status("read", 1), f.group_status("sent", 2))))
    assert status_row(core, participant=f.user_id(1)).status == "read"
    assert status_row(core, participant=f.user_id(2)).status == "sent"


def test_a_status_moves_whether_anybody_handles_it_or_not(core: Core) -> None:
    core.on("status", "failed", core.failing())
    receive_status(core, "failed")
    assert status_row(core).status == "failed"


def test_payments_and_calls_are_no_statuses_of_messages(core: Core) -> None:
    core.ingest(
        f.body(
            f.statuses(f.status("sent", type="payment", payment={"reference_id": "1"})),
            f.statuses(f.status("failed", type="call"), field="calls"),
        )
    )
    assert core.value("SELECT count(*) FROM message_statuses") == 0
    assert core.value("SELECT count(*) FROM event_jobs") == 2


def test_an_unknown_status_is_an_event_and_moves_nothing(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("warned"))))
    assert core.value("SELECT count(*) FROM message_statuses") == 0
    assert core.value("SELECT type FROM event_jobs") == "warned"


def test_ids_that_are_too_long_together_take_no_neighbour_down(core: Core) -> None:
    """Together they are one entry of an index, which Postgres does not let grow beyond 2,704 bytes."""
    long = "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(499))
    status = f.group_status("read", 1, id=f"a{long}", recipient_participant_user_id=f"b{long}")
    core.ingest(f.body(f.statuses(status)), f.body(f.statuses(f.status("sent"))))
    assert status_row(core).status == "sent"
    assert core.value("SELECT count(*) FROM event_jobs") == 2
