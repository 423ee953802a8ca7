"""A merge of conversations and an attempt in one of them, at the same moment: neither hinders the other for long."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.handlers import Context, Event
from app.ingest import conversations
from app.ingest.merge_plan import NameGroup
from app.lanes.outcome import Outcome
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body, write_note
from tests.integration.ingest.conversations import PHONE_ONLY, USER_ONLY
from tests.integration.ingest.test_merging import wait_until_blocked

pytestmark = pytest.mark.core(notes=True)

PHONE, USER = f"{f.PHONE_NUMBER_ID}/{f.phone(1)}", f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"
LINKED = NameGroup((USER, PHONE))


class Stop:
    """A handler with one attempt that stops before its end until the test lets it go on."""

    def __init__(self, core: Core) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        core.on("message", "text", self.handle, max_attempts=1)

    def handle(self, event: Event, ctx: Context) -> None:
        write_note(ctx, event.text or "")
        if event.text == "phone":
            self.reached.set()
            assert self.go_on.wait(WAIT_SECONDS)


@pytest.mark.parametrize("other_was_begun", [False, True])
def test_an_attempt_that_ends_during_a_merge_is_done_and_costs_no_other(
    core: Core, other_was_begun: bool
) -> None:
    handler = Stop(core)
    core.ingest(text_body("user", at=f.NOW + 9, **USER_ONLY))
    if other_was_begun:
        core.run()
    core.ingest(text_body("phone", at=f.NOW, **PHONE_ONLY))
    with ThreadPoolExecutor() as threads:
        attempt = threads.submit(core.lanes().step, core.event("phone").lane)
        assert handler.reached.wait(WAIT_SECONDS)
        with core.engine.begin() as connection:
            conversations.resolve(connection, [LINKED])
            handler.go_on.set()
            wait_until_blocked(core)
        assert attempt.result(WAIT_SECONDS).outcome is Outcome.DONE
    core.redis.flushall()
    core.advance(core.event("phone").lane)
    assert core.states() == {"done": 2}
    assert core.notes() == ["phone", "user"]
    assert (core.event("phone").attempts, core.event("user").attempts) == (1, 1)


def test_of_two_attempts_whose_conversations_are_merged_the_one_that_is_run_again_loses_none(
    core: Core,
) -> None:
    handler = Stop(core)
    core.ingest(text_body("user", at=f.NOW + 9, **USER_ONLY))
    core.ingest(text_body("phone", at=f.NOW, **PHONE_ONLY))
    core.execute("UPDATE lanes SET current_job_id = :id WHERE id = :lane",
                 id=core.event("user").id, lane=core.event("user").lane)  # fmt: skip
    core.execute("UPDATE jobs SET attempts = 1, worker = 'other', begun_at = clock_timestamp() WHERE id = :id",
                 id=core.event("user").id)  # fmt: skip
    with ThreadPoolExecutor() as threads:
        attempt = threads.submit(core.lanes().step, core.event("phone").lane)
        assert handler.reached.wait(WAIT_SECONDS)
        resolve(core)
        handler.go_on.set()
        assert attempt.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    core.redis.flushall()
    core.make_due()
    core.step(core.event("phone").lane)
    assert (core.event("phone").state, core.event("phone").attempts) == ("done", 2)
    assert core.notes() == ["phone"]


def test_a_merge_that_meets_an_attempt_at_its_end_waits_for_it(core: Core) -> None:
    handler = Stop(core)
    core.ingest(text_body("user", at=f.NOW + 9, **USER_ONLY))
    core.ingest(text_body("phone", at=f.NOW, **PHONE_ONLY))
    lane = core.event("phone").lane
    with ThreadPoolExecutor() as threads:
        attempt = threads.submit(core.lanes().step, lane)
        assert handler.reached.wait(WAIT_SECONDS)
        with core.engine.begin() as other:
            # Holds up the attempt between its job and its lane
            other.execute(text("SELECT FROM lanes WHERE id = :lane FOR UPDATE"), {"lane": lane})
            handler.go_on.set()
            wait_until_blocked(core)
            merge = threads.submit(resolve, core)
            wait_until_blocked(core, 2)
        merge.result(WAIT_SECONDS)
        assert attempt.result(WAIT_SECONDS).outcome is Outcome.DONE
    core.redis.flushall()
    core.advance(core.event("user").lane)
    assert core.states() == {"done": 2}
    assert (core.event("phone").attempts, core.event("user").attempts) == (1, 1)


def resolve(core: Core) -> None:
    with core.engine.begin() as connection:
        conversations.resolve(connection, [LINKED])
