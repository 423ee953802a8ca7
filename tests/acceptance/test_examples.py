"""The bots of ``examples`` answer through the real pipeline, as the page shows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.graph import GraphStandIn, graph_stand_in
from tests.helpers.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
MAX_LINES = 80
USER = "15552223344"


@dataclass
class Chat:
    """A user who writes to the bot."""

    stack: Stack
    graph: GraphStandIn

    def says(self, **content: object) -> None:
        httpx.post(
            f"{self.graph.url}/chat/send", json={"user": USER, **content}, trust_env=False
        ).raise_for_status()

    def gets(self, number: int) -> list[dict[str, Any]]:
        """Return the bot's messages, once there are so many."""
        self.stack.wait_until(lambda: len(self.graph.sent) >= number, what=f"{number} replies")
        return [each["message"] for each in self.graph.sent]


@pytest.fixture
def chat(start_stack: Callable[..., Stack]) -> Iterator[Callable[[str], Chat]]:
    with graph_stand_in() as graph:

        def begin(module: str) -> Chat:
            stack = start_stack(
                senders=1, HANDLERS=module, WHATSAPP_API_URL=graph.url, WHATSAPP_ACCESS_TOKEN="token"
            )
            graph.report_to(f"{stack.url}/webhook")
            return Chat(stack, graph)

        yield begin


def test_the_faq_offers_buttons_and_answers_the_one_that_is_tapped(chat: Callable[[str], Chat]) -> None:
    user = chat("examples.faq")
    user.says(text="hi")
    (offer,) = user.gets(1)
    buttons = [each["reply"] for each in offer["interactive"]["action"]["buttons"]]
    assert [each["id"] for each in buttons] == ["hours", "place", "person"]
    user.says(button=buttons[1])
    _, text, place = user.gets(3)
    assert "Harbour Street" in text["text"]["body"]
    assert place["location"]["name"] == "The shop"


def test_an_order_is_kept_with_its_answer_and_belongs_to_its_user(chat: Callable[[str], Chat]) -> None:
    user = chat("examples.orders")
    user.says(text="order tea")
    (ordered,) = user.gets(1)
    number = ordered["text"]["body"].partition(":")[0].removeprefix("Order ")
    user.says(text=f"cancel {number}")
    assert user.gets(2)[1]["text"]["body"] == f"Order {number}, tea: cancelled."
    user.says(user="15559990000", text=f"status {number}")
    assert user.gets(3)[2]["text"]["body"] == f"There is no order {number} of yours."


def test_the_assistant_types_then_answers_once_though_the_model_was_busy(chat: Callable[[str], Chat]) -> None:
    user = chat("examples.assistant")
    user.says(text="why?")
    user.stack.wait_until(lambda: user.graph.read_marks > 0, what="a typing indicator")
    (answer,) = user.gets(1)
    assert answer["text"]["body"] == "You asked: why?\nI would ask that too."
    user.says(text="busy")
    user.gets(2)
    assert [each["message"]["text"]["body"].count("busy") for each in user.graph.sent] == [0, 1]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
