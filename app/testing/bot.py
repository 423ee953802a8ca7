"""The vocabulary of a test: users write, the bot replied, time passed, Meta repeated itself."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from app.dev.graph import NUMBER, ChatMessage
from app.testing.depth import Depth
from app.testing.failed_run import FailedRun
from app.testing.meta import Meta
from app.testing.person import Person
from app.testing.replied import Replied
from app.testing.transcript import chat, describe, text_of

BOT = "bot"

Effects = Callable[[Session], object]
Scenario = Callable[["Bot"], object]


class Bot:
    """A bot under test."""

    def __init__(
        self,
        depth: Depth,
        meta: Meta,
        at_every_crash_point: "Callable[[Scenario, Effects | None], int]",
    ) -> None:
        self.depth = depth
        self.meta = meta
        self._people: dict[str, Person] = {}
        self._notes: list[tuple[int, str]] = []  # behind which message, what
        self._checked = 0  # of the bot's messages, in order
        self._checked_failures = 0
        self._last_body: bytes | None = None
        self._at_every_crash_point = at_every_crash_point

    # What happens

    def user(self, phone: str, name: str = "", number: str = NUMBER) -> Person:
        """Return the user with this phone number; ``number``: the phone_number_id that the user writes to."""
        if phone not in self._people:
            self._people[phone] = Person(self, phone, name or phone, number)
        return self._people[phone]

    def receive(self, person: Person, item: dict[str, Any]) -> None:
        """Deliver a message of a user's, and run what follows from it."""
        self._last_body = self.meta.say(person.phone, person.name, item, person.number)
        self._deliver(self._last_body)

    def redelivers(self) -> None:
        """Deliver the last message once more: Meta does so when it was not sure that it was taken."""
        __tracebackhide__ = True
        if self._last_body is None:
            self.fail("there is nothing to deliver again")
        self._note("(Meta delivers the last message again)")
        self._deliver(self._last_body)

    def later(self, **time: float) -> None:
        """Let time pass, as ``timedelta`` takes it: ``bot.later(minutes=10)``. What is due then runs."""
        moved = timedelta(**time)
        if moved <= timedelta():
            raise ValueError("time goes forward")
        self._note(f"({moved} later)")
        self.depth.move(moved)
        self.depth.settle()

    def at_every_crash_point(self, scenario: Scenario, effects: Effects | None = None) -> int:
        """Run a scenario once for each commit and send in it, dying right before and after it; return how many.

        Each run is over real stores of its own, and must end with the conversation and the effects of a run in which
        nothing dies. Effects are the rows of all tables that are not Neverdrop's, without dates and times, or what
        ``effects(session)`` returns.
        """
        __tracebackhide__ = True
        return self._at_every_crash_point(scenario, effects)

    # What is expected

    def replied(self, text: str | re.Pattern[str] | None = None, *, to: Person | None = None) -> Replied:
        """Check the bot's next message that was not checked yet: its text, and to whom it is."""
        __tracebackhide__ = True
        self.depth.settle()
        sent = self._unchecked()
        wanted = text.pattern if isinstance(text, re.Pattern) else text
        if not sent:
            self.fail(f"expected a reply{f' {wanted!r}' if wanted else ''}, and there is none")
        self._checked += 1
        words = text_of(sent[0].message)
        if not _matches(words, text):
            self.fail(f"expected {wanted!r}, got: {describe(sent[0].message)}")
        if to is not None and sent[0].user != to.phone:
            self.fail(f"expected a reply to {to.name}, got one to {self._name(sent[0].user)}")
        return Replied(self, sent[0])

    def reacted(self, emoji: str) -> None:
        """Check that the bot's next message that was not checked yet is this reaction."""
        __tracebackhide__ = True
        message = self.replied().message
        if message.get("reaction", {}).get("emoji") != emoji:
            self.fail(f"expected the reaction {emoji}, got: {describe(message)}")

    def silent(self) -> None:
        """Check that the bot has sent nothing that was not checked yet."""
        __tracebackhide__ = True
        self.depth.settle()
        if sent := self._unchecked():
            self.fail(f"expected nothing more, got: {describe(sent[0].message)}")

    def failed(self, error: type[BaseException] | str | None = None) -> FailedRun:
        """Check that the next attempt that failed did so with this exception, or these words in its error."""
        __tracebackhide__ = True
        self.depth.settle()
        failures = self._unchecked_failures()
        if not failures:
            self.fail("expected a failed attempt, and none has failed")
        self._checked_failures = self.depth.failures().index(failures[0]) + 1
        if not failures[0].is_of(error):
            self.fail(f"expected a failure by {error}, got: {failures[0]}")
        return failures[0]

    def typed(self) -> None:
        """Check that the bot has shown that it types."""
        __tracebackhide__ = True
        if not any("typing_indicator" in each for each in self.meta.signals):
            self.fail("expected the bot to type")

    @property
    def session(self) -> Session:
        """A session in which a test sees what handlers wrote through ``ctx.session``."""
        self.depth.settle()
        return self.depth.session

    # For the parts of the kit

    def sent_to(self, person: Person) -> list[ChatMessage]:
        """Return the messages of the bot to a user."""
        self.depth.settle()
        return [each for each in self.meta.chats.messages if each.from_bot and each.user == person.phone]

    def fail(self, words: str) -> NoReturn:
        """Fail the test, with the conversation and what went wrong in it."""
        __tracebackhide__ = True
        parts = [words, "", self.conversation(), *self.depth.stopped()]
        parts += [failure.traceback for failure in self.depth.failures()[-1:]]
        raise AssertionError("\n".join(parts))

    def conversation(self) -> str:
        """Return all that was said, as a chat."""
        lines = [
            (each.order, (BOT if each.from_bot else self._name(each.user), describe(each.message)))
            for each in self.meta.chats.messages
        ]
        lines += [(order, ("", words)) for order, words in self._notes]
        lines += [(len(lines) + 1, (BOT, f"({failure})")) for failure in self.depth.failures()]
        return chat(line for _, line in sorted(lines, key=lambda each: each[0]))

    def close(self) -> None:
        """Fail if an attempt failed that the test said nothing about."""
        __tracebackhide__ = True
        self.depth.settle()
        if failures := self._unchecked_failures():
            self.fail(
                f"{failures[0]}; if that is expected, say so: bot.failed({failures[0].error.partition(':')[0]!r})"
            )

    def _deliver(self, body: bytes) -> None:
        self.depth.deliver(body)
        self.depth.settle()

    def _unchecked(self) -> Sequence[ChatMessage]:
        return [each for each in self.meta.chats.messages if each.from_bot][self._checked :]

    def _unchecked_failures(self) -> list[FailedRun]:
        return [each for each in self.depth.failures()[self._checked_failures :] if not each.asked]

    def _note(self, words: str) -> None:
        self._notes.append((len(self.meta.chats.messages), words))

    def _name(self, user: str) -> str:
        person = self._people.get(user)
        return person.name if person else user


def _matches(words: str | None, wanted: str | re.Pattern[str] | None) -> bool:
    if isinstance(wanted, re.Pattern):
        return wanted.search(words or "") is not None
    return wanted in (None, words)
