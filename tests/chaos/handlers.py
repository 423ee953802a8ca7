"""The handlers of the fault test, for HANDLERS."""

from app.handlers import Context, Event, on_message, on_status
from tests.chaos import effects
from tests.chaos.bodies import CRM_LANE, DIES_EACH_TIME

BASE_SECONDS = 0.5
CAP_SECONDS = 4.0
LIVES = 3  # attempts of the message that kills each process; each costs a lease


@on_message("text", base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def text(event: Event, ctx: Context) -> None:
    effects.message(event, ctx)
    ctx.reply(event.message_id)  # by which the checker knows what it answers


@on_message("text", lane=CRM_LANE, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def copy(event: Event, ctx: Context) -> None:
    effects.message(event, ctx, CRM_LANE)


@on_message(DIES_EACH_TIME, max_attempts=LIVES, base_seconds=BASE_SECONDS)
def lethal(event: Event, ctx: Context) -> None:
    effects.die()


@on_status(base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def status(event: Event, ctx: Context) -> None:
    effects.record(event, ctx)
