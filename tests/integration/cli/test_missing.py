"""What commands say when a store, the tables or a setting is missing."""

import json
import sys
from collections.abc import Callable, Iterator

import pytest

from app.cli.entry import main
from app.dev.stack.embedded import free_port
from app.watch import alert_marks
from app.watch.conditions import Action, AlertChange, AlertName
from config.settings import Settings
from config.settings import settings as current_settings
from tests.helpers import factories as f
from tests.helpers import services as servers
from tests.helpers.core import Core, text_body
from tests.helpers.services import Services
from tests.integration.cli.support import dead, run

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)


# What is missing


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``neverdrop ...`` says on standard error as it fails."""

    def fail(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["neverdrop", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        return capsys.readouterr().err

    return fail


@pytest.fixture
def no_tables(services: Services, env: Callable[..., Settings]) -> Iterator[None]:
    servers.execute(services.postgres_url, "CREATE DATABASE bare_neverdrop")
    env(DATABASE_URL=servers.database(services.postgres_url, "bare_neverdrop"))
    yield
    servers.execute(services.postgres_url, "DROP DATABASE bare_neverdrop WITH (FORCE)")


@pytest.mark.parametrize("command", [("status",), ("trace", "1"), ("dead", "list")])
def test_without_tables_it_says_how_to_make_them(
    no_tables: None, say: Callable[..., str], command: tuple[str, ...]
) -> None:
    assert "run `neverdrop migrate`" in say(*command)


def test_migrate_makes_the_tables(no_tables: None) -> None:
    assert run("migrate").output == "the database is up to date\n"
    assert run("dead", "list").output == "no dead letters\n"


@pytest.mark.parametrize("command", [("status",), ("trace", "1"), ("dead", "list"), ("migrate",)])
def test_without_postgres_it_says_so(
    env: Callable[..., Settings], say: Callable[..., str], command: tuple[str, ...]
) -> None:
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    assert "Postgres does not answer" in say(*command)


def test_without_redis_it_says_so(env: Callable[..., Settings], say: Callable[..., str]) -> None:
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert "Redis does not answer" in say("status")


def test_without_postgres_status_shows_what_redis_knows(core: Core, env: Callable[..., Settings]) -> None:
    core.accept(text_body("a"))
    alert_marks.mark(core.redis, AlertChange(Action.RAISE, AlertName.DATABASE_DOWN, "away", 1, 1))
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    answer = json.loads(run("status", "--json").stdout)
    assert (answer["journal"], answer["pending"], answer["unanswered"]) == (1, None, ["postgres"])
    assert answer["alerts"] == ["database_down"]
    result = run("status")
    assert (result.exit_code, "Postgres does not answer" in result.stdout) == (1, True)


def test_without_redis_status_shows_what_postgres_knows(core: Core, env: Callable[..., Settings]) -> None:
    dead(core, "a")
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    answer = json.loads(run("status", "--json").stdout)
    assert (answer["journal"], answer["dead_letters"], answer["unanswered"]) == (None, 1, ["redis"])


def test_trace_needs_no_redis_for_what_the_tables_know(core: Core, env: Callable[..., Settings]) -> None:
    core.ingest(text_body("a"))
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert run("trace", f.wamid("a")).exit_code == 0


def test_without_settings_it_names_each_that_is_missing(
    env: Callable[..., Settings], say: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "none")
    monkeypatch.setenv("ALERT_DEAD_LETTERS", "0")
    current_settings.cache_clear()
    text = say("status")
    assert "PORT" in text
    assert "ALERT_DEAD_LETTERS" in text
