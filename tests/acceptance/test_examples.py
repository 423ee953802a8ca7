"""A bot of ``examples`` answers through the real processes, as the page shows it; more: integration/testing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text as sql

from app.stores.connections import engine
from tests.conftest import _stack
from tests.helpers.graph import GraphStandIn, graph_stand_in
from tests.helpers.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
MAX_LINES = 80
USER = "15552223344"


HANDLERS = {"HANDLERS": "examples.faq"}  # of all processes that start from now on
WITH_HANDLERS = ("ingest1", "worker1")


@dataclass
class Chat:
    """A user who writes to the bot."""

    stack: Stack
    graph: GraphStandIn

    def __post_init__(self) -> None:
        self._before = len(self.graph.sent)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The bot's, so far."""
        return [each["message"] for each in self.graph.sent[self._before :]]

    def says(self, **content: object) -> None:
        httpx.post(
            f"{self.graph.url}/chat/send", json={"user": USER, **content}, trust_env=False
        ).raise_for_status()

    def gets(self, number: int) -> list[dict[str, Any]]:
        """Return the bot's messages, once there are so many."""
        self.stack.wait_until(lambda: len(self.messages) >= number, what=f"{number} replies")
        return self.messages


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Stack, GraphStandIn]]:
    """One pipeline for all bots, and its Meta."""
    with graph_stand_in() as graph, pytest.MonkeyPatch.context() as patch:
        known = {"WHATSAPP_API_URL": graph.url, "WHATSAPP_ACCESS_TOKEN": "token"}
        with _stack(patch, {"senders": 1, "environment": lambda _: HANDLERS, **known}) as stack:
            graph.report_to(f"{stack.url}/webhook")
            yield stack, graph


@pytest.fixture
def chat(running: tuple[Stack, GraphStandIn]) -> Callable[[str], Chat]:
    stack, graph = running

    def begin(module: str) -> Chat:
        if HANDLERS["HANDLERS"] != module:
            HANDLERS["HANDLERS"] = module
            for name in WITH_HANDLERS:
                stack.kill(name)
                stack.start(name)
            stack.wait_until_ready()
        return Chat(stack, graph)

    return begin


def test_the_assistant_types_then_answers_once_though_the_model_was_busy(chat: Callable[[str], Chat]) -> None:
    user = chat("examples.assistant")
    user.says(text="why?")
    user.stack.wait_until(lambda: user.graph.read_marks > 0, what="a typing indicator")
    (answer,) = user.gets(1)
    assert answer["text"]["body"] == "You asked: why?\nI would ask that too."
    user.says(text="busy")
    user.gets(2)
    assert [each["text"]["body"].count("busy") for each in user.messages] == [0, 1]


def test_a_dialog_goes_on_though_its_worker_is_killed_between_all_questions(
    chat: Callable[[str], Chat],
) -> None:
    user = chat("examples.dialog")

    def says_to_a_new_worker(**content: object) -> None:
        user.stack.kill("worker1")
        user.says(**content)
        user.stack.start("worker1")

    user.says(text="order")
    (sizes,) = user.gets(1)
    buttons = [each["reply"] for each in sizes["interactive"]["action"]["buttons"]]
    says_to_a_new_worker(button=buttons[1])
    assert user.gets(2)[1]["text"]["body"] == "Where to?"
    says_to_a_new_worker(text="Harbour Street 5")
    asked = user.gets(3)[2]["interactive"]
    assert asked["body"]["text"] == "Medium to Harbour Street 5. Shall we bake it?"
    says_to_a_new_worker(button=asked["action"]["buttons"][0]["reply"])
    assert user.gets(4)[3]["text"]["body"] == "It is on its way to Harbour Street 5."


def test_a_bot_hands_over_is_silent_meanwhile_and_takes_back_after_hours(chat: Callable[[str], Chat]) -> None:
    user = chat("examples.handover")
    user.says(text="a person, please")
    (handed_over,) = user.gets(1)
    assert "colleague" in handed_over["text"]["body"]
    user.says(text="hello?")
    with engine().begin() as connection:
        asked = sql("SELECT count(*) FROM jobs j JOIN events e ON e.id = j.event_id WHERE e.type = 'text'")
        user.stack.wait_until(lambda: connection.execute(asked).scalar() == 1, what="a message that waits")
        connection.execute(
            sql("UPDATE lanes SET paused_until = clock_timestamp() WHERE paused_at IS NOT NULL")
        )
    user.stack.wait_until(lambda: _state_of("hello?") == "skipped", what="the end of the pause")
    user.says(text="and now?")
    assert user.gets(2)[1]["text"]["body"] == "This is the bot again."


def _state_of(words: str) -> str | None:
    found = sql("SELECT state::text FROM event_jobs WHERE payload LIKE :words")
    with engine().connect() as connection:
        return connection.execute(found, {"words": f"%{words}%"}).scalar()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
