"""Who gets into Flower, who may change anything, and what is closed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.dev.stack.embedded import free_port
from config.settings import Settings
from tests.helpers.core import Core, text_body
from tests.helpers.flower import ADA, GRACE, flower_page
from tests.helpers.stack import Stack

pytestmark = pytest.mark.core(messages="failing", broken=("one", "two"), max_attempts=1)

ROOT = Path(__file__).parents[3]
PAGES = ("/dead-letters", "/pipeline", "/conversation/1", "/broker", "/workers")
ANSWERS = (
    "/dead-letters/table", "/dead-letters/facets", "/dead-letters/1", "/dead-letters/states?ids=1",
    "/dead-letters/progress?since=2026-01-01", "/pipeline/numbers", "/pipeline/samples", "/conversation/1/events",
    "/metrics", "/api/queues/length",
)  # fmt: skip
CHANGES = (
    "/dead-letters/retry", "/dead-letters/discard", "/dead-letters/1/edit", "/dead-letters/reconcile",
    "/held/retry", "/held/skip",
    "/conversation/1/pause", "/conversation/1/resume",
)  # fmt: skip
FLOWERS_CHANGES = (
    "/api/task/send-task/retry_dead_letter", "/api/task/async-apply/retry_dead_letter",
    "/api/task/send-task/sweep_due", "/api/worker/shutdown/worker1@bot", "/api/task/revoke/17",
)  # fmt: skip
START_SECONDS = 60


def dead(core: Core, words: str = "one") -> int:
    core.ingest(text_body(words))
    core.run()
    assert core.event(words).state == "dead"
    return int(core.event(words).id)


def test_nothing_is_shown_without_the_login(core: Core) -> None:
    with flower_page() as page:
        for path in (*PAGES, *ANSWERS):
            assert page.as_user(None).get(path).status_code == 401, path
        for path in (*PAGES, *ANSWERS):
            assert page.as_user(("ada", "wrong")).get(path).status_code in (401, 429), (
                path
            )  # it is slowed down


def test_nothing_is_changed_without_the_login(core: Core) -> None:
    id_ = dead(core)
    with flower_page() as page:
        body = {"ids": [id_], "reason": "none", "payload": '{"item": 1}'}
        for somebody in (page.as_user(None), page.as_user(("grace", "wrong"))):
            for path in CHANGES:
                assert somebody.post(path, body).status_code == 401, path
    assert core.event("one").state == "dead"


def test_whoever_logs_in_sees_every_page_with_ours_in_the_navigation(core: Core) -> None:
    with flower_page() as page:
        for path in PAGES:
            answer = page.get(path)
            assert answer.status_code == 200, path
            assert 'href="/dead-letters"' in answer.text
            assert 'href="/pipeline"' in answer.text


def test_our_pages_let_no_foreign_or_inline_script_run(core: Core) -> None:
    with flower_page() as page:
        for path in ("/dead-letters", "/pipeline", "/conversation/1"):
            policy = page.get(path).headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "script-src" not in policy


@pytest.mark.parametrize(
    "foreign", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}]
)
def test_another_site_cannot_use_a_users_login(core: Core, foreign: dict[str, str]) -> None:
    id_ = dead(core)
    with flower_page() as page:
        assert page.post("/dead-letters/retry", {"ids": [id_]}, **foreign).status_code == 403
    assert core.event("one").state == "dead"


def test_a_form_of_another_site_is_no_request_of_ours(core: Core) -> None:
    id_ = dead(core)
    with flower_page() as page:
        answer = page.client.post(
            f"{page.url}/dead-letters/retry",
            content=f'{{"ids": [{id_}]}}',
            headers={"Content-Type": "text/plain"},
        )
    assert answer.status_code == 415
    assert core.event("one").state == "dead"


def test_without_a_login_in_development_pages_show_and_change_nothing(core: Core) -> None:
    id_ = dead(core)
    with flower_page(basic_auth=None) as page:
        assert "need a login" in page.get("/dead-letters").text
        for path in CHANGES:
            answer = page.post(path, {"ids": [id_], "reason": "none", "payload": '{"item": 1}'})
            assert answer.status_code == 403
            assert "need a login" in answer.json()["error"]
    assert core.event("one").state == "dead"


def test_a_flower_that_is_read_only_changes_nothing(core: Core) -> None:
    id_ = dead(core)
    with flower_page(read_only=True) as page:
        answer = page.post("/dead-letters/retry", {"ids": [id_]})
        assert answer.status_code == 403
        assert "read-only" in answer.json()["error"]
    assert core.event("one").state == "dead"


# Users who may only look


@pytest.fixture
def read_only_grace(env: Callable[..., Settings]) -> None:
    env(FLOWER_READ_ONLY_USERS="grace, carol@example.com")


def test_a_read_only_user_sees_and_changes_nothing(read_only_grace: None, core: Core) -> None:
    id_ = dead(core)
    with flower_page() as page:
        grace = page.as_user(GRACE)
        assert "FLOWER_READ_ONLY_USERS" in grace.get("/dead-letters").text
        assert grace.get("/dead-letters/table").json()["total"] == 1
        for path in CHANGES:
            answer = grace.post(path, {"ids": [id_], "reason": "none", "payload": '{"item": 1}'})
            assert answer.status_code == 403
            assert "change nothing" in answer.json()["error"]
        assert core.event("one").state == "dead"
        assert page.post("/dead-letters/retry", {"ids": [id_]}).json()["changed"] == [id_]


def test_a_read_only_user_changes_nothing_by_flowers_own_ways_either(
    read_only_grace: None, core: Core
) -> None:
    id_ = dead(core)
    with flower_page() as page:
        grace = page.as_user(GRACE)
        for path in FLOWERS_CHANGES:
            answer = grace.post(path, {"args": [id_]})
            assert answer.status_code == 403, path
            assert "change nothing" in answer.json()["error"]
    assert core.redis.llen("maintenance") == 0


def test_a_read_only_name_with_a_wrong_password_is_told_nothing(read_only_grace: None, core: Core) -> None:
    with flower_page() as page:
        assert page.as_user(("grace", "wrong")).post("/dead-letters/retry", {"ids": [1]}).status_code == 401


# OAuth


OAUTH: dict[str, Any] = {"basic_auth": None, "auth": ".*@example.com", "auth_provider": None}


def test_with_oauth_only_those_who_are_let_in_see_a_page(core: Core) -> None:
    with flower_page(**OAUTH) as page:
        assert page.as_user(None).get("/dead-letters").status_code == 302
        assert page.as_mail("mallory@elsewhere.example").get("/dead-letters").status_code == 302
        assert page.as_mail("ada@example.com").get("/dead-letters").status_code == 200


def test_with_oauth_a_change_needs_the_pages_token(core: Core) -> None:
    id_ = dead(core)
    with flower_page(**OAUTH) as page:
        ada = page.as_mail("ada@example.com")
        refused = ada.post("/dead-letters/retry", {"ids": [id_]})
        assert refused.status_code == 403
        assert "reload" in refused.json()["error"]
        ada.get("/dead-letters")
        stale = ada.post("/dead-letters/retry", {"ids": [id_]}, **{"X-XSRFToken": "2|stale"})
        assert stale.status_code == 403
        assert "reload" in stale.json()["error"]
        assert core.event("one").state == "dead"
        token = ada.client.cookies["_xsrf"]
        answer = ada.post("/dead-letters/retry", {"ids": [id_]}, **{"X-XSRFToken": token})
        assert answer.json()["changed"] == [id_]
    assert core.value("SELECT who FROM dead_letter_actions") == "ada@example.com"


def test_an_oauth_user_can_be_one_who_may_only_look(read_only_grace: None, core: Core) -> None:
    id_ = dead(core)
    with flower_page(**OAUTH) as page:
        carol = page.as_mail("carol@example.com")
        carol.get("/dead-letters")
        token = carol.client.cookies["_xsrf"]
        assert carol.post("/dead-letters/retry", {"ids": [id_]}, **{"X-XSRFToken": token}).status_code == 403
    assert core.event("one").state == "dead"


# The start


def test_everything_is_below_a_url_prefix(core: Core) -> None:
    with flower_page(url_prefix="ops/flower") as page:
        answer = page.get("/ops/flower/dead-letters")
        assert answer.status_code == 200
        assert 'data-base="/ops/flower/dead-letters"' in answer.text
        assert 'href="/ops/flower/pipeline"' in answer.text
        assert page.get("/ops/flower/dead-letters/table").json()["total"] == 0
        assert page.get("/dead-letters").status_code == 404


def test_flower_does_not_start_in_production_without_a_login(
    env: Callable[..., Settings], redis_url: str, database_url: str
) -> None:
    env(NEVERDROP_ENV="production", WHATSAPP_APP_SECRET="secret", WHATSAPP_VERIFY_TOKEN="token")
    with pytest.raises(SystemExit, match="FLOWER_BASIC_AUTH"), flower_page(basic_auth=None):
        raise AssertionError("it started")
    with flower_page(**OAUTH), flower_page():
        pass


def test_the_command_says_why_it_does_not_start(env: Callable[..., Settings]) -> None:
    env(NEVERDROP_ENV="production", WHATSAPP_APP_SECRET="secret", WHATSAPP_VERIFY_TOKEN="token")
    command = [sys.executable, "-m", "celery", "-A", "tasks", "flower", f"--port={free_port()}"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    assert done.returncode != 0
    assert "FLOWER_BASIC_AUTH" in done.stderr


def test_the_login_can_come_from_a_file(env: Callable[..., Settings], tmp_path: Path) -> None:
    secret = tmp_path / "login"
    secret.write_text("ada:ada-password,grace:grace-password\n")
    env(FLOWER_BASIC_AUTH_FILE=str(secret))
    with flower_page(basic_auth=None) as page:
        assert page.as_user(None).get("/dead-letters").status_code == 401
        assert page.as_user(ADA).get("/dead-letters").status_code == 200
        assert page.as_user(GRACE).get("/dead-letters").status_code == 200


def test_the_command_of_the_pipeline_serves_our_pages(settings: Settings, tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    try:
        url = stack.start_flower("ada:ada-password")
        client = httpx.Client(auth=ADA, trust_env=False)
        assert "Dead letters" in client.get(f"{url}/dead-letters").text
        names = [queue["name"] for queue in client.get(f"{url}/api/queues/length").json()["active_queues"]]
        assert "dead_letters" in names
        assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 401
        assert httpx.get(f"{url}/healthcheck", trust_env=False).text == "OK"
        client.close()
    finally:
        stack.end()


def test_a_worker_does_not_load_flower() -> None:
    code = "import sys, tasks; sys.exit('app.flower.application' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"NEVERDROP_ENV": "development"}, check=False
    )
    assert done.returncode == 0
