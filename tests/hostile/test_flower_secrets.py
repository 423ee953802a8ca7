"""No page and no answer of Flower shows a secret of the settings, whatever the workers answer it."""

import re
from collections.abc import Callable
from urllib.parse import quote

import httpx

from app.flower.secrets import HIDDEN
from tests.helpers.factories import APP_SECRET
from tests.helpers.services import PASSWORD
from tests.helpers.stack import Stack

LOGIN = ("ada", "password-of-ada")
PAGES = ("/", "/workers", "/workers?json=1", "/tasks", "/broker", "/api/workers?status=1", "/api/workers",
         "/api/queues/length", "/api/tasks", "/api/task/types", "/pipeline/numbers", "/metrics")  # fmt: skip


def test_a_store_by_a_socket_with_a_password_is_shown_without_it(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack()
    url = stack.start_flower(":".join(LOGIN))
    with httpx.Client(base_url=url, auth=LOGIN, trust_env=False, timeout=60) as client:
        stack.wait_until(lambda: len(client.get("/api/workers?refresh=1").json()) == 2)
        workers = list(client.get("/api/workers").json())
        answers = {
            path: client.get(path) for path in (*PAGES, *(f"/worker/{quote(each)}" for each in workers))
        }
    assert {answer.status_code for answer in answers.values()} == {200}
    for path, answer in answers.items():
        for secret in (PASSWORD, APP_SECRET, LOGIN[1]):
            assert secret not in answer.text, path
    assert re.search(rf"redis\+socket://:?{re.escape(HIDDEN)}@", answers["/broker"].text)
    assert any(HIDDEN in answers[path].text for path in answers if path.startswith("/worker/"))
    assert PASSWORD not in stack.log()
