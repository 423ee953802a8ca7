"""Each block of commands that the docs show runs as it stands, on stores that have what it speaks of."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.broker.quarantine import quarantine
from app.doctor import processes
from app.handlers import Context, Event, Permanent
from app.handlers.self_check import self_check
from config.celery import WEBHOOKS
from config.settings import SELF_CHECK_FIELD, Settings
from tests.conftest import VERIFY_TOKEN
from tests.helpers import factories as f
from tests.helpers.callback import callback_url
from tests.helpers.core import Core, key_of, text_body
from tests.helpers.graph import graph_stand_in
from tests.helpers.receiver import receiver
from tests.helpers.targets import SECRET
from tests.integration.cli.support import lines, run
from tests.integration.flower.test_outbox import write
from tests.unit.shell_blocks import ShellBlock, of_the_command_line

pytestmark = pytest.mark.core(of_process=True)
EDITOR = "sed -i s/Timeout/Time/"
# No process runs, and the tests' Postgres does without a disk on purpose
FINDINGS = {"postgres_durability", "no_ingest", "no_worker", "no_sender", "handler_modules"}
# What the docs call the things that these tests make
NUMBER, STOPPED, PHONE, USER, WAMIDS = (
    "17", "106540352242922", "15550002222", "US.13491208655302741918", ("wamid.FIRST", "wamid..."),
)  # fmt: skip


class World:
    """Stores with one of everything that a command of the docs can be about."""

    def __init__(self, core: Core, url: str) -> None:
        self.core, self.url = core, url
        self._sender = 100
        self._group = ""
        core.on("message", None, self._fail)
        core.on("message", None, lane="crm")
        core.on("other", SELF_CHECK_FIELD, self_check)
        core.execute(
            "INSERT INTO stopped_numbers (number, token_digest, error) VALUES (:number, 'x', '(190)')",
            number=STOPPED,
        )

    def _fail(self, event: Event, _ctx: Context) -> None:
        raise (Permanent if self._group == "dead" else ValueError)(event.text)

    def words(self, command: list[str]) -> list[str]:
        """The command's words with what exists in place of what the docs name."""
        self._sender += 1
        self._group = command[0]
        number = str(self._new())
        names = {
            NUMBER: number, "18": number, PHONE: f.phone(self._sender), USER: f.user_id(self._sender),
            "https://bot.example/webhook": self.url, **dict.fromkeys(WAMIDS, f.wamid(self._words)),
        }  # fmt: skip
        return [names.get(word, word) for word in command]

    @property
    def _words(self) -> str:
        return f"Timeout {self._sender}"

    def _new(self) -> int:
        """Make one thing that this group of commands decides about; its number."""
        self.core.ingest(text_body(self._words, sender=self._sender))
        self.core.run()
        quarantine(WEBHOOKS, b"{", ValueError("headers"))
        send = write(self.core, self._sender)
        job = self.core.value(
            "SELECT id FROM event_jobs WHERE key = :key AND handler = 'tests.message_any'",
            key=key_of(self._words),
        )
        return send if self._group == "outbox" else int(job)


@pytest.fixture
def world(
    core: Core, env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.01)  # of workers, of which there are none
    Path("body.json").write_bytes(f.wire(text_body("hello")))

    def take(body: bytes) -> None:
        core.ingest(body)
        core.run()

    with graph_stand_in() as graph, receiver() as crm, callback_url(VERIFY_TOKEN, take) as url:
        graph.setup = replace(graph.setup, callback_url=url)
        Path("targets.toml").write_text(
            f'[[target]]\nname = "crm"\nurl = "{crm.url}"\nsecret = "{SECRET}"\n', encoding="utf-8"
        )
        env(
            TARGETS="targets.toml", WHATSAPP_API_URL=graph.url, WHATSAPP_ACCESS_TOKEN="EAA", EDITOR=EDITOR
        )  # fmt: skip
        yield World(core, url)


@pytest.mark.parametrize("block", of_the_command_line(), ids=str)
def test_each_block_runs_as_it_stands(block: ShellBlock, world: World) -> None:
    for line in block.lines:
        program, *words = line[0]
        assert program == "neverdrop", line
        result = run(*world.words(words))
        if words[0] == "doctor":
            assert result.exit_code == 1, result.output
            found = re.findall(r"(?:PROBLEM |^advice |\"check\": \")(\w+)", result.stdout, re.MULTILINE)
            assert set() < set(found) <= FINDINGS, result.output
        else:
            assert (result.exit_code, result.exception) == (0, None), (words, result.output)
        for program, expression in line[1:]:
            assert program == "jq"
            assert all(expression.removeprefix(".") in each for each in lines(result))
