"""Take the deliveries of ``neverdrop doctor --deliver``, which show that everything works; loaded beside HANDLERS."""

from app.handlers.context import Context, Event
from app.handlers.registration import on_event
from config.settings import SELF_CHECK_FIELD


@on_event(SELF_CHECK_FIELD)
def self_check(_event: Event, _ctx: Context) -> None:
    """Do nothing: that it is done is all that is asked."""
