"""Which handler runs a job now: its own, or that of an answer that its lane waits for."""

from app.handlers import TIMEOUT, UNEXPECTED, Handler, Registry
from app.lanes.rows import Head


def route(registry: Registry, head: Head) -> Handler | None:
    """Return the handler that is to run the job if it begins now; None if this release does not know it."""
    if _may_answer(head):
        answer = registry.named(head.expected_handler or "")
        if answer is None or answer.takes_answer(head.type):
            return answer
    return registry.find_for(head.kind, head.type, head.handler, head.lane_name)


def is_expected(head: Head, handler: Handler) -> bool:
    """Whether the job is what its lane waits for: the answer, or the end of the time for it."""
    if head.kind == TIMEOUT:
        return head.expected_handler is not None and head.key == timeout_key(head.turned_by)
    return _may_answer(head) and handler.answers_to(head.expected_handler or "")


def is_obsolete(head: Head, handler: Handler) -> bool:
    """Whether the job is of no use: only an answer's handler may run it, or it ends what has ended already."""
    return handler.name == UNEXPECTED or (head.kind == TIMEOUT and not is_expected(head, handler))


def timeout_key(turned_by: int | None) -> str:
    """Return the key of the event that ends what was expected since this turn."""
    return f"{TIMEOUT}:{turned_by}"


def _may_answer(head: Head) -> bool:
    return head.kind == "message" and head.expected_handler is not None and head.after_turn
