"""``neverdrop quarantine``: messages that could not be run are listed, and dropped."""

import pytest

from app.broker.quarantine import quarantine
from app.stores.redis_keys import QUARANTINE_COUNTS
from config.celery import CONVERSATIONS, WEBHOOKS
from tests.helpers.core import Core
from tests.integration.cli.support import lines, run

pytestmark = pytest.mark.core(of_process=True)


def test_a_list_says_where_a_message_came_from_and_what_is_wrong_with_it(core: Core) -> None:
    quarantine(WEBHOOKS, b"call 15551234567", ValueError("headers"))
    quarantine(CONVERSATIONS, b"\xff", TypeError("body of '15551234567'"))
    newest, oldest = lines(run("quarantine", "list", "--json"))
    assert (newest["queue"], oldest["queue"]) == (CONVERSATIONS, WEBHOOKS)
    assert (oldest["size"], oldest["error"]) == (16, "ValueError: headers")
    table = run("quarantine", "list").output
    assert all(message["id"] in table for message in (newest, oldest))
    assert "15551234567" not in table + run("quarantine", "list", "--json").output
    _, revealed = lines(run("quarantine", "list", "--json", "--reveal"))
    assert revealed["message"] == "call 15551234567"


def test_messages_are_dropped_by_id_or_all_and_stay_counted(core: Core) -> None:
    for number in range(3):
        quarantine(WEBHOOKS, b"%d" % number, ValueError("headers"))
    first, *_ = lines(run("quarantine", "list", "--json"))
    assert run("quarantine", "drop", first["id"], "unknown").output == "1 dropped\n"
    assert first["id"] not in run("quarantine", "list").output
    assert run("quarantine", "drop").exit_code == run("quarantine", "drop", "a", "--all").exit_code == 2
    assert lines(run("quarantine", "drop", "--all", "--json")) == [{"dropped": 2}]
    assert run("quarantine", "list").output == "no message is in quarantine\n"
    assert core.redis.hget(QUARANTINE_COUNTS, WEBHOOKS) == b"3"
