"""Simulated traffic is what Meta would send, is known in advance, and is sent until it is taken."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx
import pytest
from click.testing import CliRunner

from app.dev.simulator import command
from app.dev.simulator import sender as simulated_sender
from app.dev.simulator.command import is_loopback, simulate, summary
from app.dev.simulator.sender import Answer, PostAddress, Sender, Try
from app.dev.simulator.traffic import Fate, Options, Post, expected_events, plan
from app.payload.parse import parse
from app.web.signature import HEADER, verify

SECRET = b"the secret of the app"
URL = "http://127.0.0.1:8000/webhook"
OPTIONS = Options(messages=200, statuses=601, conversations=7, failing=9, doomed=3, slow=4, forged=5, seed=11)

Reply = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def posts() -> list[Post]:
    return plan(OPTIONS)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_sender, "PAUSES_SECONDS", (0.0,) * 3)


def send(posts: Sequence[Post], reply: Reply) -> list[Answer]:
    sender = Sender(PostAddress(URL, SECRET, concurrency=2), threading.Event(), httpx.MockTransport(reply))
    return sender.send(posts, lambda _: None)


def tried(status: int) -> Try:
    return Try(URL, 0.0, 1.0, status)


def signed_right(request: httpx.Request) -> bool:
    return verify(request.content, request.headers[HEADER], [SECRET])


# The plan


def test_the_plan_says_of_every_body_what_the_receiver_makes_of_it(posts: list[Post]) -> None:
    for post in posts:
        found = [(e.key, e.kind, e.type, e.conversation, e.occurred_at) for e in parse(post.body).events]
        assert found == [(e.key, e.kind, e.type, e.conversation, e.occurred_at) for e in post.events]


def test_the_same_options_give_the_same_posts(posts: list[Post]) -> None:
    assert plan(OPTIONS) == posts


def test_another_seed_gives_other_events_of_other_users(posts: list[Post]) -> None:
    others = expected_events(plan(replace(OPTIONS, seed=12)))
    events = expected_events(posts)
    assert not {event.key for event in events} & {event.key for event in others}
    assert not {event.conversation for event in events} & {event.conversation for event in others}


def test_there_is_as_much_of_everything_as_was_asked_for(posts: list[Post]) -> None:
    events = expected_events(posts)
    assert Counter(event.kind for event in events) == {"message": 200, "status": 601}
    assert len({event.conversation for event in events}) == 7
    assert Counter(event.fate for event in events) == {Fate.DONE: 788, Fate.UNHANDLED: 10, Fate.DEAD: 3}
    assert sum(event.failures > 0 for event in events) == 9
    assert sum(event.slow for event in events) == 4
    assert sum(post.forged for post in posts) == 5


def test_a_share_of_the_bodies_is_posted_twice_and_half_of_those_side_by_side(posts: list[Post]) -> None:
    turns: dict[bytes, list[int]] = {}
    for post in posts:
        if not post.forged:
            turns.setdefault(post.body, []).append(post.turn)
    twice = [pair for pair in turns.values() if len(pair) == 2]
    assert len(twice) == round(len(turns) / 10)
    assert sum(first == second for first, second in twice) == -(-len(twice) // 2)


def test_a_share_of_the_bodies_is_posted_after_later_ones() -> None:
    def in_order(shuffled: float) -> bool:
        quiet = replace(OPTIONS, redelivered=0, forged=0, shuffled=shuffled, largest_batch=1)
        times = [event.occurred_at for event in expected_events(plan(quiet))]
        return times == sorted(times)

    assert in_order(shuffled=0)
    assert not in_order(shuffled=10)


def test_slow_messages_are_in_the_middle(posts: list[Post]) -> None:
    places = [place for place, post in enumerate(posts) if any(event.slow for event in post.events)]
    assert all(0.25 < place / len(posts) < 0.8 for place in places)


def test_statuses_of_a_message_come_in_their_order_in_time(posts: list[Post]) -> None:
    times: dict[str, dict[str, int]] = {}
    for event in expected_events(posts):
        if event.kind == "status":
            times.setdefault(event.message_id, {})[event.type] = event.occurred_at
    assert len(times) == 201
    for of in times.values():
        assert list(map(of.get, sorted(of, key=["sent", "delivered", "read"].index))) == sorted(of.values())


def test_bodies_are_written_as_meta_writes_them(posts: list[Post]) -> None:
    bodies = b"".join(post.body for post in posts)
    assert bodies.isascii()
    assert b"\\u00e9" in bodies or b"\\u00eb" in bodies
    assert b"https:\\/\\/" in bodies
    assert b"https://" not in bodies


def test_some_users_show_no_phone_number_and_all_have_a_user_id(posts: list[Post]) -> None:
    profiles = [
        profile
        for post in posts
        for change in json.loads(post.body)["entry"][0]["changes"]
        for profile in change["value"]["contacts"]
    ]
    assert all(profile["user_id"] for profile in profiles)
    assert {"wa_id" in profile for profile in profiles} == {True, False}


@pytest.mark.parametrize(
    "impossible",
    [
        {"messages": 0, "statuses": 0},
        {"messages": -1},
        {"conversations": 0},
        {"redelivered": 101},
        {"messages": 5, "failing": 3, "doomed": 3},
    ],
)
def test_what_cannot_be_planned_is_refused(impossible: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Options(**impossible)  # type: ignore[arg-type]


# Sending


def test_every_post_is_signed_and_a_forged_one_wrongly(posts: list[Post]) -> None:
    answers = send(posts, lambda request: httpx.Response(200 if signed_right(request) else 401))
    assert [answer.post for answer in answers] == posts
    assert all(answer.acknowledged is not answer.post.forged for answer in answers)


def test_a_post_without_a_200_is_sent_again_until_it_gets_one(posts: list[Post]) -> None:
    replies = iter([503, 202, 200])
    (answer,) = send(posts[:1], lambda _: httpx.Response(next(replies)))
    assert [each.status for each in answer.tries] == [503, 202, 200]
    assert answer.acknowledged


def test_a_post_without_an_answer_is_given_up_at_last(posts: list[Post]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    (answer,) = send(posts[:1], refuse)
    assert [each.status for each in answer.tries] == [simulated_sender.NO_ANSWER] * 4
    assert not answer.acknowledged


def test_a_forged_post_is_not_sent_again(posts: list[Post]) -> None:
    forged = next(post for post in posts if post.forged)
    (answer,) = send([forged], lambda _: httpx.Response(401))
    assert [each.status for each in answer.tries] == [401]


def test_after_the_stop_nothing_is_sent(posts: list[Post]) -> None:
    stopping = threading.Event()
    stopping.set()
    sent: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    answers = Sender(PostAddress(URL, SECRET), stopping, httpx.MockTransport(reply)).send(
        posts, lambda _: None
    )
    assert sent == []
    assert [answer.tries for answer in answers] == [()] * len(posts)


def test_posts_of_one_turn_are_under_way_together(posts: list[Post]) -> None:
    """Each waits for the other, so neither would be answered alone."""
    together = threading.Barrier(2, timeout=10)

    def reply(_: httpx.Request) -> httpx.Response:
        together.wait()
        return httpx.Response(200)

    assert all(answer.acknowledged for answer in send([posts[0], posts[0]], reply))


def test_the_summary_says_why_posts_were_not_taken(posts: list[Post]) -> None:
    wrong = [Answer(posts[0], (tried(401), tried(401))), Answer(posts[1], (tried(200),))]
    lines = list(summary(wrong))
    assert lines[0].startswith("1 of 2 posts got a 200")
    assert lines[1].startswith("1 were posted again")
    assert "WHATSAPP_APP_SECRET" in lines[2]


# The command


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/webhook", True),
        ("http://127.9.9.9/webhook", True),
        ("http://[::1]:8000/webhook", True),
        ("http://localhost/webhook", True),
        ("http://localhost.example.com/webhook", False),
        ("http://10.0.0.1/webhook", False),
        ("https://example.com/webhook", False),
        ("http://0.0.0.0/webhook", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_counts_as_local(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_a_remote_receiver_must_be_meant() -> None:
    result = CliRunner().invoke(simulate, ["--url", "https://example.com/webhook"])
    assert result.exit_code == 2
    assert "--allow-remote" in result.output


def test_each_message_comes_with_three_statuses_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEVERDROP_ENV", "development")
    posted: list[Post] = []

    def acknowledge(posts: Sequence[Post], _target: PostAddress) -> list[Answer]:
        posted.extend(posts)
        return [Answer(post, (tried(200),)) for post in posts]

    monkeypatch.setattr(command, "_send_with_bar", acknowledge)
    result = CliRunner().invoke(simulate, ["--messages", "1"])
    assert result.exit_code == 0, result.output
    events = expected_events(posted)
    assert sorted(event.kind for event in events) == ["message", "status", "status", "status"]
    (wamid,) = [event.message_id for event in events if event.kind == "message"]
    assert result.output.splitlines()[-1].endswith(f"neverdrop trace {wamid}")


@pytest.mark.parametrize(
    ("typed", "on_the_path", "shown"),
    [
        (".venv/bin/neverdrop", None, ".venv/bin/neverdrop"),
        ("/opt/neverdrop/bin/neverdrop", "/opt/neverdrop/bin/neverdrop", "neverdrop"),
        ("pytest", None, "neverdrop"),
    ],
)
def test_the_command_that_comes_next_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, typed: str, on_the_path: str | None, shown: str
) -> None:
    monkeypatch.setattr(command.sys, "argv", [typed])
    monkeypatch.setattr(command.shutil, "which", lambda _name: on_the_path)
    assert command._as_typed() == shown
