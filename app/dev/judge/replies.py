"""One reply: checks what reached Meta of what handlers sent. Pure: no I/O.

Relies on: replies whose text is the message id that they answer, and statuses of all that was taken.
Without a stand-in for Meta nothing was seen, and nothing is judged.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from app.dev.judge.facts import MAIN_LANE, Facts, grouped
from app.dev.judge.records import StoredSend
from app.dev.judge.verdict import Violation

NOT_KNOWN = ("unknown", "dead")  # states in which a person may have to decide


def messages_are_answered_once(facts: Facts) -> Iterator[Violation | None]:
    """Meta got one reply to each message that is to be answered, and none to others.

    One that it did not get says that it may have been sent.
    """
    if facts.received is None:
        return
    times = Counter(reply.message_id for reply in facts.received)
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        if planned.kind != "message" or event is None:
            continue
        received, sends = times.pop(planned.message_id, 0), facts.sends_of.get(event.id, [])
        if received > planned.replies:
            yield Violation(
                f"answered {received} times instead of {planned.replies}: {planned.key}", (planned.key,)
            )
        elif len(sends) != planned.replies:
            yield Violation(f"{len(sends)} replies were written: {planned.key}", (planned.key,))
        elif received < planned.replies and not all(_says_so(send) for send in sends):
            states = ", ".join(send.state for send in sends)
            yield Violation(f"was not answered, and its reply is {states}: {planned.key}", (planned.key,))
        else:
            yield None
    for message_id in times:
        yield Violation(f"a reply to a message that nobody sent: {message_id}")


def lost_answers_are_settled(facts: Facts) -> Iterator[Violation | None]:
    """What Meta got is known to be sent, though its answer was lost; nothing waits."""
    if facts.received is None:
        return
    received = {reply.message_id for reply in facts.received}
    for send in facts.sends:
        event = facts.by_id[send.event_id]
        message_id = facts.posted[event.key].event.message_id if event.key in facts.posted else ""
        if send.state not in ("accepted", *NOT_KNOWN):
            yield Violation(f"the reply is still {send.state}: {event.key}", (event.key,))
        elif (send.state == "accepted") != (message_id in received):
            got = "was" if message_id in received else "was not"
            yield Violation(f"the reply is {send.state}, and {got} received: {event.key}", (event.key,))
        else:
            yield None


def replies_arrive_in_order(facts: Facts) -> Iterator[Violation | None]:
    """In each conversation Meta got the replies in the order in which their handlers were committed."""
    if facts.received is None:
        return
    committed = {
        planned.key: effect.sequence
        for planned in facts.expected
        for job in facts.live_jobs(planned.key)
        if job.lane_name == MAIN_LANE
        for effect in facts.effects_of.get(job.id, ())
    }
    planned_of = {planned.message_id: planned for planned in facts.expected if planned.kind == "message"}
    answered = [
        (reply, planned_of[reply.message_id]) for reply in facts.received if reply.message_id in planned_of
    ]
    answered.sort(key=lambda each: each[0].order)
    for replies in grouped(answered, lambda each: (each[1].conversation, each[1].name)).values():
        for (_, before), (_, after) in pairwise(replies):
            if committed.get(before.key, 0) > committed.get(after.key, 0):
                yield Violation(
                    f"the reply to {after.key} came behind that to {before.key}", (before.key, after.key)
                )
            else:
                yield None


def _says_so(send: StoredSend) -> bool:
    return send.unsure and send.state in NOT_KNOWN
