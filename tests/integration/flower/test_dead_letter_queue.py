"""The queue of dead letters agrees with the table, and the API of tasks retries one."""

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from app import dead_letters
from app.broker.envelope import retry_dead_letter_message
from app.dead_letters import queue as dead_letter_queue
from app.dev.stack.embedded import free_port
from app.stores import connections
from config.celery import DEAD_LETTERS
from config.settings import Settings
from config.settings import settings as current
from tests.helpers import sample_data
from tests.helpers.core import Core
from tests.helpers.flower import GRACE, Page
from tests.integration.flower.letters import HUGE, NOBODYS_ID, dead, queue, retry_all, table

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

ROOT = Path(__file__).parents[3]


def test_the_broker_page_shows_the_queue_that_nobody_consumes(core: Core, page: Page) -> None:
    dead(core, "one", "two", "three")
    assert queue(page) == 3
    assert DEAD_LETTERS in page.get("/broker").text


def test_the_queue_agrees_with_the_table_after_any_mix(core: Core, page: Page) -> None:
    chosen = dead(core, *(f"event {number}" for number in range(12)))
    page.post("/dead-letters/retry", {"ids": chosen[:3]})
    page.post("/dead-letters/discard", {"ids": chosen[3:5], "reason": "a test"})
    core.run()  # the three die again
    assert queue(page) == table(page)["total"] == 10
    core.redis.flushall()
    dead(core, "a new one", sender=2)
    core.execute("UPDATE outcomes SET finished_at = finished_at - interval '1 minute' WHERE state = 'dead'")
    dead_letters.reconcile(core.engine, core.redis)
    assert queue(page) == table(page)["total"] == 11
    retry_all(page, {})
    assert queue(page) == table(page)["total"] == 0


def test_every_process_writes_the_same_message_for_a_letter(settings: Settings) -> None:
    code = "import sys; from app.broker.envelope import retry_dead_letter_message as m; sys.stdout.buffer.write(m(17))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == retry_dead_letter_message(17)


def test_a_large_queue_is_written_anew_rather_than_searched(
    core: Core, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine, 10), 40)
    dead_letters.reconcile(core.engine, core.redis)
    monkeypatch.setattr(dead_letter_queue, "MAX_COMPARISONS", 100)
    changed, _ = retry_all(page, {"type": "text"})
    assert queue(page) == 40
    assert page.post("/dead-letters/reconcile").json() == {"added": 0, "removed": len(changed)}
    assert queue(page) == table(page)["total"] == 20


def test_the_task_api_retries_one_by_its_id_and_records_who(core: Core, page: Page) -> None:
    one, two = dead(core, "one", "two")
    sent = page.post("/api/task/send-task/retry_dead_letter", {"args": [one]})
    assert sent.status_code == 200
    sent = page.as_user(GRACE).post(
        "/api/task/send-task/retry_dead_letter",
        {"kwargs": {"event_id": two, "who": "somebody else"}, "queue": DEAD_LETTERS},
    )
    assert sent.status_code == 200
    messages = [json.loads(message) for message in reversed(core.redis.lrange("maintenance", 0, -1))]
    assert [message["headers"]["task"] for message in messages] == ["retry_dead_letter"] * 2
    bodies = [json.loads(b64decode(message["body"])) for message in messages]
    assert [(body[0], body[1]) for body in bodies] == [([one], {"who": "ada"}), ([two], {"who": "grace"})]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"args": [NOBODYS_ID]}, 404), ({"args": []}, 400), ({"args": [1, "ada"]}, 400), ({"args": ["1"]}, 400),
     ({"args": [HUGE]}, 400)],
)  # fmt: skip
def test_the_task_api_refuses_what_could_only_fail(
    core: Core, page: Page, body: dict[str, Any], status: int
) -> None:
    assert page.post("/api/task/send-task/retry_dead_letter", body).status_code == status
    assert core.redis.llen("maintenance") == 0


def test_the_task_api_refuses_what_is_not_dead(core: Core, page: Page) -> None:
    (id_,) = dead(core, "one")
    page.post("/dead-letters/retry", {"ids": [id_]})
    answer = page.post("/api/task/send-task/retry_dead_letter", {"args": [id_]})
    assert answer.status_code == 409
    assert "pending" in answer.text


def test_while_postgres_is_away_a_sentence_says_so(
    core: Core, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://localhost:{free_port()}/nowhere")

    current.cache_clear()
    connections.engine().dispose()
    connections.engine.cache_clear()
    answer = page.post("/dead-letters/retry", {"ids": [1]})
    assert answer.status_code == 503
    assert "Postgres" in answer.json()["error"]
