"""Updates of one message's status, put together."""

from datetime import UTC, datetime

from app.ingest.statuses import RANK, merge
from app.payload.parse import StatusUpdate
from app.stores.models import MessageStatus

RECEIVED = datetime(2026, 9, 1, tzinfo=UTC)


def update(status: str, seconds: int | None, participant: str = "") -> tuple[StatusUpdate, datetime]:
    return StatusUpdate("wamid.A", participant, status, seconds), RECEIVED


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_the_rank_goes_from_sent_to_played_and_a_delivery_outranks_a_failure() -> None:
    assert sorted(RANK, key=RANK.__getitem__) == ["sent", "failed", "delivered", "read", "played"]


def test_each_status_keeps_its_own_first_time() -> None:
    rows = merge([update("read", 30), update("sent", 10), update("read", 20)])
    assert rows == {("wamid.A", ""): {MessageStatus.READ: at(20), MessageStatus.SENT: at(10)}}


def test_a_status_without_a_time_counts_from_its_acceptance() -> None:
    assert merge([update("sent", None)]) == {("wamid.A", ""): {MessageStatus.SENT: RECEIVED}}


def test_participants_of_a_group_are_kept_apart() -> None:
    rows = merge([update("read", 30, "US.1"), update("sent", 10, "US.2")])
    assert set(rows) == {("wamid.A", "US.1"), ("wamid.A", "US.2")}
