"""Marked numbers, names, texts and ids go through the real processes, fail in every way, and are looked for.

Where they may be: the tables, the journal, and the bodies of messages that are on their way.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import psutil
from click.testing import CliRunner
from redis import Redis
from sqlalchemy import text

from app.cli.entry import cli
from app.dev.stack import programs
from app.stores import JOURNAL
from app.stores.connections import engine
from config.settings import settings
from tests.helpers import factories as f
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.services import PASSWORD
from tests.helpers.stack import Stack
from tests.helpers.targets import SECRET
from tests.hostile.leaking_handlers import WAYS

LOGIN = ("ada", "password-of-ada")
# Each mark is one that nothing else contains. A number is a person's number, whatever surrounds it
NUMBER, NAME, TEXT, WAMID, USER = "49176555001", "Zebulonia", "Quittengelee", "WndlYnVsb24", "DE.77665544"
MARKS = re.compile(rf"{NUMBER}|{NAME}|{TEXT}|{WAMID}|{USER}", re.IGNORECASE)
TABLES = """
CREATE TABLE leaks (name text PRIMARY KEY, size integer NOT NULL);
CREATE TABLE short_leaks (name varchar(3));
CREATE FUNCTION leak(name text) RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'no room for %', name USING DETAIL = 'It is ' || name, HINT = 'Ask ' || name; END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'cannot keep %', NEW.payload; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.payload LIKE '%refused%')
  EXECUTE FUNCTION refuse();
"""

# What a developer needs of those errors stays
WORDS = (
    "ValueError: no account for …", "KeyError: '…'", "leaks_pkey", "null value in column", "Key (name)=(…)", "is busy",
    "https://crm.example/…", "no room for …", "Connection refused", "thread.crashed", "error.not_raised", "event.dead",
)  # fmt: skip


def item(number: int, words: str, **more: object) -> f.Json:
    """A message of the person with this number, every field of which is marked."""
    return f.message(
        "text",
        id=f"wamid.{WAMID}{number:03}=",
        text={"body": f"{words} {TEXT} für Herrn {NAME}, Tel. +{NUMBER}{number:02}"},
        **{"from": f"{NUMBER}{number:02}", "from_user_id": f"{USER}{number:02}", **more},
    )


def delivery(number: int, words: str, **more: object) -> f.Json:
    contact = {
        "profile": {"name": f"{NAME} Nr. {number}"},
        "wa_id": f"{NUMBER}{number:02}",
        "user_id": f"{USER}{number:02}",
    }
    return f.body(f.messages(item(number, words, **more), contacts=[contact]))


TARGETS = f"""
[[target]]
name = "quotes"
url = "URL"
secret = "{SECRET}"
kinds = ["message"]
[[target]]
name = "refuses"
url = "URL"
secret = "{SECRET}"
kinds = ["message"]
payload = "tests.hostile.leaking_handlers:payload"
"""


class Quoting(Receiver):
    """A target whose answer is of no shape that can be sent, and says what it was given."""

    def answer(self, body: bytes) -> bytes:
        data = json.loads(body)["data"]
        return json.dumps({"replies": [{f"{data['text']} of {data['item']['from']}": 1}]}).encode()


@contextmanager
def collected(start_stack: Callable[..., Stack], path: Path) -> Iterator[tuple[Stack, Receiver]]:
    targets = path / "targets.toml"
    with receiver() as sentry, receiver(Quoting) as quoting:
        targets.write_text(TARGETS.replace("URL", quoting.url), encoding="utf-8")
        dsn = sentry.url.replace("http://", "http://key@") + "/1"
        stack = start_stack(
            HANDLERS="tests.hostile.handlers", SENTRY_DSN=dsn, ALERT_WEBHOOK_URL="", TARGETS=str(targets),
            forwarders=[programs.forwarder()],
        )  # fmt: skip
        yield stack, sentry


def leaks(where: str, content: str | bytes) -> list[str]:
    """Return where a mark stands, with what is around it; also as URLs and JSON write it."""
    plain = content if isinstance(content, str) else content.decode("utf-8", "replace")
    return [
        f"{where}: {line[max(0, found.start() - 150) : found.end() + 60]}"
        for line in plain.splitlines()
        for spelled in (line, unquote(line))
        for found in MARKS.finditer(spelled)
    ][:3]


def database() -> dict[str, int]:
    with engine().connect() as connection:
        return dict(connection.execute(text("SELECT state::text, count(*) FROM event_jobs GROUP BY 1")).all())  # type: ignore[arg-type]


def quoted_by() -> set[str]:
    """Return whose errors name somebody in the tables."""
    with engine().connect() as connection:
        rows = connection.execute(text("SELECT handler, error FROM outcomes WHERE error IS NOT NULL")).all()
    return {handler for handler, error in rows if MARKS.search(error)}


def provoke(stack: Stack) -> None:
    """Send a message for each way to fail, and bodies and requests that fail before a handler."""
    with engine().begin() as connection:
        for each in TABLES.split(";\n"):
            if each.strip():
                connection.exec_driver_sql(each.replace("%", "%%"))
    for number, name in enumerate(WAYS):
        assert stack.post(delivery(number, name)).status_code == 200
    assert stack.post(delivery(90, "refused")).status_code == 200  # by Postgres, at ingest
    for unreadable in (f'{{"x": "{TEXT} {NUMBER}"', f'["{NAME}"]', f'{{"entry": [{{"changes": "{TEXT}"}}]}}'):
        assert stack.post(unreadable.encode()).status_code == 200
    stack.post_signed_as(f.wire(delivery(91, "value_error")), "sha256=" + "0" * 64)
    stack.get("/webhook", **{"hub.mode": "subscribe", "hub.verify_token": TEXT, "hub.challenge": NUMBER})
    stack.get(f"/users/{NUMBER}", name=NAME)
    stack.stop("valkey")
    assert stack.post(delivery(92, "key_error")).status_code == 200  # into the fallback store
    stack.start("valkey")


def test_no_person_is_in_any_log_report_argument_title_metric_or_page(
    start_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    with collected(start_stack, tmp_path) as (stack, sentry):
        provoke(stack)
        flower = stack.start_flower(":".join(LOGIN))
        ends = len(WAYS) * 3 - 3  # handler and two targets
        stack.wait_until(lambda: database().get("dead", 0) >= ends, what="the end of every event")
        stack.wait_until(
            lambda: len(database().keys() & {"pending", "ingested"}) == 0, what="no event that waits"
        )
        assert quoted_by() >= {"tests.hostile.handlers.leak", "target:quotes", "target:refuses"}
        log = (stack.path / "stack.log").read_text(encoding="utf-8")
        found = [
            *leaks("log", log),
            *in_sentry(sentry),
            *in_redis(),
            *in_processes(),
            *leaks("metrics", stack.get("/metrics").text),
            *in_flower(flower),
            *on_the_command_line(),
        ]
    assert found == [], "\n".join(found)
    assert [words for words in WORDS if words not in log.replace('\\"', '"')] == []
    assert "postgres | " in log  # the stores' logs too


def in_sentry(sentry: Receiver) -> list[str]:
    assert len(sentry.bodies) > 10
    return [leak for body in sentry.bodies for leak in leaks("sentry", body)]


def in_redis() -> list[str]:
    client: Any = Redis.from_url(settings().redis_url)
    found = []
    for key in set(client.scan_iter("*")) - {JOURNAL.encode()}:
        kind = client.type(key)
        reading = {b"list": lambda k: client.lrange(k, 0, -1), b"hash": client.hgetall, b"string": client.get,
                   b"set": client.smembers, b"zset": lambda k: client.zrange(k, 0, -1)}  # fmt: skip
        found += leaks(f"redis {key!r}", repr((key, reading[kind](key))))
    client.close()
    return found


def in_processes() -> list[str]:
    processes = psutil.Process().children(recursive=True)
    assert len(processes) > 5
    titles = [
        " ".join([each.name(), *each.cmdline()])
        for each in processes
        if each.status() != psutil.STATUS_ZOMBIE
    ]
    secrets = [title for title in titles if PASSWORD in title or f.APP_SECRET in title or LOGIN[1] in title]
    return [f"secret in argv: {title}" for title in secrets] + [
        leak for title in titles for leak in leaks("title", title)
    ]


def in_flower(url: str) -> list[str]:
    paths = ["/tasks", "/api/tasks", "/api/workers?refresh=1", "/broker", "/workers?json=1", "/pipeline/numbers",
             "/dead-letters/facets", "/metrics"]  # fmt: skip
    paths += [
        f"/dead-letters/table?sort={sort}&limit=5" for sort in ("died", "conversation", "error", "type")
    ]
    paths += [f"/dead-letters/{number}" for number in range(1, 60)]
    paths += [f"/conversation/{number}/events" for number in range(1, 60)]
    with httpx.Client(base_url=url, auth=LOGIN, trust_env=False, timeout=60) as client:
        answers = {path: client.get(path) for path in paths}
        tasks = list(answers["/api/tasks"].json())[:20]
        answers |= {path: client.get(path) for path in (f"/task/{each}" for each in tasks)}
        workers = list(client.get("/api/workers").json())
        answers |= {path: client.get(path) for path in (f"/worker/{quote(each)}" for each in workers)}
    assert answers["/dead-letters/table?sort=error&limit=5"].json()["next"]
    return [
        leak
        for path, answer in answers.items()
        for leak in leaks(f"flower {path}", answer.text + str(answer.headers))
    ]


def on_the_command_line() -> list[str]:
    found = []
    for words in (["dead", "list"], ["dead", "list", "--json"], ["dead", "show", "1"], ["held", "list"], ["status"],
                  ["target", "stats"], ["target", "stats", "--json"], ["outbox", "list"], ["quarantine", "list"],
                  *(["trace", str(number)] for number in range(1, 50))):  # fmt: skip
        result = CliRunner().invoke(cli, words)
        found += leaks(f"neverdrop {' '.join(words)}", result.output)
    return found
