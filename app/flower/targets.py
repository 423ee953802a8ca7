"""The Pipeline page's table of targets: how forwarders see each, and the switch that lets one wait for a person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import tornado.web

from app.broker import wake_forwarders
from app.flower import parameters
from app.flower import serializers as shown
from app.flower.base import ChangeHandler
from app.stores import engine, redis
from app.targets import TargetPause, pauses
from app.watch import TargetHealth


def table(
    names: Iterable[str], health: Mapping[str, TargetHealth] | None, paused: Sequence[TargetPause] | None
) -> list[dict[str, Any]]:
    """Return a line for each target that is set, seen by a forwarder, or paused.

    ``health``, ``paused``: None where the store that knows does not answer. ``forwarders`` 0: nobody posts to it.
    """
    pause_of = {each.name: asdict(each) for each in paused or ()}
    known = {*names, *(health or ()), *pause_of}
    return [
        shown.target(name, (health or {}).get(name, TargetHealth()))
        | {
            "known": health is not None,
            "paused": pause_of.get(name),
            "pause_known": paused is not None,
        }
        for name in sorted(known)
    ]


class TargetSwitch(ChangeHandler):
    """Pause, with a "reason", or resume; {"changed": false} where somebody else was first."""

    async def post(self, name: str, action: str) -> None:
        body = self.wanted_body()
        if action == "pause":
            reason = parameters.reason(body)
            if name not in self.application.target_names:
                raise tornado.web.HTTPError(404, reason="there is no target of this name")
            changed = await self.run(pauses.pause, engine(), name, self.who, reason)
        else:
            changed = await self.run(pauses.resume, engine(), name, self.who)
            await self.run(lambda: wake_forwarders(redis()))
        self.answer(changed=changed)
