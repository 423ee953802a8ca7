"""Decide which names stand for one conversation. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Aliases = tuple[str, ...]  # every name in one event, the strongest first


class NameGroup(NamedTuple):
    """Names that came together; ``change_notice``: Meta tells that a user's name has changed."""

    names: Aliases
    change_notice: bool = False


@dataclass(slots=True)
class MergePlan:
    """What has to change so that names that came together stand for one conversation.

    New conversations have negative numbers until ``number`` gives them theirs.
    """

    lanes: list[int]  # of each group
    new_conversations: dict[int, str]  # id → the name it is shown by
    new_names: dict[str, int]
    moved_names: dict[str, tuple[int, int]]  # name → (loser, winner)

    def number(self, ids: Iterable[int]) -> None:
        """Give the new conversations their ids."""
        id_of = dict(zip(self.new_conversations, ids, strict=True))
        self.lanes = [id_of.get(lane, lane) for lane in self.lanes]
        self.new_conversations = {id_of[lane]: name for lane, name in self.new_conversations.items()}
        self.new_names = {name: id_of.get(lane, lane) for name, lane in self.new_names.items()}
        self.moved_names = {
            name: (loser, id_of.get(winner, winner)) for name, (loser, winner) in self.moved_names.items()
        }


def is_phone(name: str) -> bool:
    """Return whether an alias ends with a phone number; a BSUID and a group's id hold other letters."""
    return name.rpartition("/")[2].isdigit()


def plan_merges(groups: Sequence[NameGroup], known: dict[str, int], identified: Iterable[int]) -> MergePlan:
    """Choose each group's conversation, one group after the other; linear in the number of names.

    ``known``: name → conversation. ``identified``: the conversations that have a BSUID already.
    """
    state = _Planning(dict(known), set(identified), {}, {}, {})
    lanes = [state.add(group) for group in groups]
    lane_of = state.lane_of
    return MergePlan(
        [state.root(lane) for lane in lanes],
        {lane: state.shown_by[lane] for lane in state.names_of_new},
        {name: lane for name, lane in lane_of.items() if name not in known},
        {name: (known[name], lane) for name, lane in lane_of.items() if known.get(name, lane) != lane},
    )


@dataclass(slots=True)
class _Planning:
    """Which name stands for which conversation after the groups so far."""

    lane_of: dict[str, int]
    identified: set[int]
    names_of_new: dict[int, set[str]]  # of the conversations that this plan makes
    shown_by: dict[int, str]
    merged: dict[int, int]  # new conversations that lost their last name → who has it

    def add(self, group: NameGroup) -> int:
        """Return the group's conversation, with all of its names pointed at it."""
        winner = self._conversation_of(group)
        strongest = group.names[0]
        if winner is None:
            winner = -len(self.shown_by) - 1
            self.names_of_new[winner] = set()
            self.shown_by[winner] = strongest
        elif winner in self.names_of_new and is_phone(self.shown_by[winner]):
            self.shown_by[winner] = strongest
        if not is_phone(strongest):
            self.identified.add(winner)
        for name in group.names:
            self._point(name, winner)
        return winner

    def root(self, lane: int) -> int:
        """Return the conversation that a lane was merged into, or the lane."""
        passed = []
        while lane in self.merged:
            passed.append(lane)
            lane = self.merged[lane]
        self.merged.update(dict.fromkeys(passed, lane))
        return lane

    def _conversation_of(self, group: NameGroup) -> int | None:
        """Return that of the strongest known name; None for a phone number that has a new owner."""
        strongest = next((name for name in group.names if name in self.lane_of), None)
        if strongest is None:
            return None
        lane = self.lane_of[strongest]
        new_user = is_phone(strongest) and not is_phone(group.names[0])
        return None if new_user and lane in self.identified and not group.change_notice else lane

    def _point(self, name: str, winner: int) -> None:
        before = self.lane_of.get(name)
        self.lane_of[name] = winner
        if winner in self.names_of_new:
            self.names_of_new[winner].add(name)
        if before is None or before == winner or before not in self.names_of_new:
            return
        self.names_of_new[before].discard(name)
        if not self.names_of_new[before]:
            del self.names_of_new[before]
            self.merged[before] = winner
