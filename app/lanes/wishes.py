"""What a handler wants of its lane beside its effects: its dialog, and pauses."""

from app.handlers import TIMEOUT, Context, Dialog, InvalidPause, Registry
from app.lanes import routing
from app.lanes.attempt import Attempt
from app.lanes.pauses import ConversationError, pause_with_job
from app.lanes.statements import LaneStatements


def dialog_of(attempt: Attempt, registry: Registry, statements: LaneStatements) -> Dialog:
    """Return the lane's dialog as this attempt may see and change it.

    What was written before the last turn, or is run again, finds a dialog that has gone on: it may not turn it.
    """
    head = attempt.head
    expected = routing.is_expected(head, attempt.handler)
    return Dialog(
        read=lambda: statements.dialog_state(head.lane),
        find=lambda name: registry.expectation(name, head.lane_name, registry.origin_of(head.payload)),
        answers=expected,
        may_keep=head.after_turn or not head.replayed,
        may_turn=head.after_turn or expected,
    )


def write_wishes(attempt: Attempt, context: Context, statements: LaneStatements) -> None:
    """Inside the transaction of its effects, write what the handler wants of its lane."""
    if change := context.dialog.change():
        keeps_place = attempt.event.kind == TIMEOUT
        statements.change_dialog(attempt.job_id, attempt.number, change, keeps_place=keeps_place)
    for wanted in context.wanted_pauses:
        try:
            pause_with_job(statements.connection, attempt.head.lane, attempt.handler.name, wanted)
        except ConversationError as error:
            raise InvalidPause(str(error)) from error
