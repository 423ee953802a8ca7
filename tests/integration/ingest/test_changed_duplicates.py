"""What a repeat says otherwise than its event is kept beside it."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.views import timeline
from tests.helpers import factories as f
from tests.helpers.core import Core

MEDIA = "https://lookaside.example/attachments/?mid=1&ext={}&hash={}"


def image(ext: int, **more: Any) -> f.Json:
    return f.body(
        f.messages(f.message("image", image={"id": "1", "url": MEDIA.format(ext, f"h{ext}")}, **more))
    )


def kept(core: Core) -> list[Any]:
    return [json.loads(row.payload)["item"] for row in core.rows("SELECT payload FROM changed_duplicates")]


def test_a_repeat_whose_item_differs_is_kept_counted_and_logged(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("read"))))
    changed = f.status("read", pricing={"billable": True})
    with capture_logs() as lines:
        core.ingest(f.body(f.statuses(changed)))
    assert kept(core) == [changed]
    assert [row.changed for row in core.rows("SELECT changed FROM deliveries ORDER BY id")] == [0, 1]
    assert [line["changed"] for line in lines if line["event"] == "event.duplicate"] == [True]
    assert core.value("SELECT count(*) FROM event_jobs") == 1


def test_a_change_that_is_repeated_is_kept_once(core: Core) -> None:
    changed = f.body(f.messages(f.text_message("other")))
    core.ingest(f.body(f.messages(f.text_message("hello"))), changed, changed)
    core.ingest(changed)
    assert len(kept(core)) == 1


def test_a_repeat_that_says_the_same_leaves_nothing(core: Core) -> None:
    for time in (1, 2):
        core.ingest(f.body(f.messages(f.text_message(), contacts=[f.contact()]), time=time))
    assert kept(core) == []


def test_the_signature_of_a_media_url_is_no_difference(core: Core) -> None:
    core.ingest(image(1))
    core.ingest(image(2))
    assert kept(core) == []
    core.ingest(image(3, context={"id": "x"}))
    assert len(kept(core)) == 1


@pytest.mark.core(messages="noted")
def test_a_changed_duplicate_is_in_the_timeline_of_its_event(core: Core) -> None:
    core.ingest(f.body(f.messages(f.text_message("hello"))))
    core.ingest(f.body(f.messages(f.text_message("other"))))
    with core.engine.connect() as connection:
        (history,) = timeline.find_timelines(connection, f.wamid(1))
    (change,) = [moment for moment in history.moments if moment.what == "changed"]
    assert json.loads(change.detail["payload"])["item"]["text"]["body"] == "other"
