"""A person is erased from a conversation's page, by who has the role."""

from collections.abc import Callable

import pytest

from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)


def test_a_conversation_is_erased_and_who_did_it_is_kept(core: Core, page: Page) -> None:
    core.ingest(text_body("hello"), text_body("from bob", sender=2))
    lane = core.event("hello").lane
    assert page.get(f"/conversation/{lane}/erasure").status_code == 200
    assert page.get(f"/conversation/{lane}/erasure/count").json()["unfinished_jobs"] == 1
    answer = page.as_user(GRACE).post(f"/conversation/{lane}/erasure/erase", {"reason": "ticket 7"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["events"], answer.json()["left"]) == (1, [])
    (row,) = core.rows("SELECT who, reason, chosen_by FROM erasures")
    assert tuple(row) == ("grace", "ticket 7", "conversation")
    assert f.phone(1) not in str(core.rows("SELECT * FROM events"))
    again = page.post(f"/conversation/{lane}/erasure/erase", {})
    assert (again.status_code, "was it erased already?" in again.json()["error"]) == (400, True)


def test_without_the_role_it_is_refused(core: Core, page: Page, env: Callable[..., Settings]) -> None:
    core.ingest(text_body("hello"))
    lane = core.event("hello").lane
    env(FLOWER_ROLES="ada:decide+reveal+administer,grace:erase")
    refused = page.post(f"/conversation/{lane}/erasure/erase", {})
    assert (refused.status_code, "needs the role erase" in refused.text) == (403, True)
    assert page.as_user(GRACE).post(f"/conversation/{lane}/erasure/erase", {}).status_code == 200
