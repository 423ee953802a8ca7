"""Find the conversation of an event, whatever name its user goes by today.

A user is known by a BSUID, by a phone number, or by both, and either may be missing from a body or change; a
conversation stays one as long as some body once carried two of its names together. The strongest name wins:
a weaker one that stands for another conversation is pointed at the winner, and a conversation that has no name
left is merged into it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.stores import Prepared
from config.logging import get_logger

Aliases = tuple[str, ...]  # every name in one event, the strongest first

MAX_PLANS = 5  # each further one means that another transaction created a name of ours meanwhile

log = get_logger(__name__)

# Follow merged_into: an alias may have been added during a merge. (No join: as long as Postgres has no statistics of
# the table of conversations, it would read all of it for a join.)
KNOWN = """
PREPARE known_names (text[]) AS
SELECT key, coalesce((SELECT merged_into FROM conversations WHERE id = conversation_id), conversation_id)
FROM conversation_aliases WHERE key = ANY($1)
"""
NEW_LANES = """
PREPARE new_lanes (int) AS SELECT nextval('lane_ids') FROM generate_series(1, $1)
"""
ADD_NAMES = """
PREPARE add_names (text[], bigint[]) AS
INSERT INTO conversation_aliases (key, conversation_id) SELECT * FROM unnest($1, $2)
ON CONFLICT (key) DO NOTHING RETURNING key
"""
ADD_CONVERSATIONS = """
PREPARE add_conversations (bigint[], text[]) AS
INSERT INTO conversations (id, key) SELECT * FROM unnest($1, $2)
"""
REPOINT_ALIAS = text("UPDATE conversation_aliases SET conversation_id = :winner WHERE key = :key")
MERGE_NAMELESS = text("""
UPDATE conversations SET merged_into = :winner
WHERE id = :loser AND NOT EXISTS (SELECT FROM conversation_aliases WHERE conversation_id = :loser)
""")
FLATTEN_MERGES = text("UPDATE conversations SET merged_into = :winner WHERE merged_into = :loser")
# What is earlier than the last event handled in either comes late
MERGE_WATERMARK = text("""
UPDATE conversations w
SET handled_occurred_at = l.handled_occurred_at, handled_delivery_id = l.handled_delivery_id,
    handled_position = l.handled_position
FROM conversations l
WHERE w.id = :winner AND l.id = :loser AND l.handled_occurred_at IS NOT NULL
  AND coalesce((w.handled_occurred_at, w.handled_delivery_id, w.handled_position)
               < (l.handled_occurred_at, l.handled_delivery_id, l.handled_position), true)
""")
# Of two that run at this moment only one can become done; the other is run again
MERGE_FENCE = text("""
UPDATE conversations w SET begun_event_id = coalesce(w.begun_event_id, l.begun_event_id)
FROM conversations l WHERE w.id = :winner AND l.id = :loser
""")
MOVE_EVENTS = text("UPDATE events SET lane = :winner WHERE lane = :loser")


@dataclass(slots=True)
class MergePlan:
    """What has to change so that names that came together stand for one conversation."""

    lanes: dict[Aliases, int]
    new_conversations: dict[int, str]  # id → the name it is shown by
    new_names: dict[str, int]
    moved_names: dict[str, tuple[int, int]]  # name → (loser, winner)


def connected_groups(groups: Iterable[Aliases]) -> list[list[Aliases]]:
    """Return the groups of names in parts: those that share a name are in one. Pure: no I/O."""
    parts: dict[str, list[Aliases]] = {}
    for names in groups:
        joined = {id(part): part for name in names if (part := parts.get(name)) is not None}
        part = [group for known in joined.values() for group in known] + [names]
        for group in part:
            parts.update(dict.fromkeys(group, part))
    return list({id(part): part for part in parts.values()}.values())


def plan_merges(parts: Sequence[list[Aliases]], known: dict[str, int], fresh: Iterator[int]) -> MergePlan:
    """Choose each part's conversation: that of its strongest known name, else a new one. Pure: no I/O."""
    decided = MergePlan({}, {}, {}, {})
    for part in parts:
        ranked = sorted({(rank, name) for group in part for rank, name in enumerate(group)})
        winner = next((known[name] for _, name in ranked if name in known), None)
        if winner is None:
            winner = next(fresh)
            decided.new_conversations[winner] = ranked[0][1]
        for _, name in ranked:
            if name not in known:
                decided.new_names[name] = winner
            elif known[name] != winner:
                decided.moved_names[name] = (known[name], winner)
        decided.lanes.update(dict.fromkeys(part, winner))
    return decided


def resolve(connection: Connection, groups: Iterable[Aliases]) -> dict[Aliases, int]:
    """Return the conversation of each group of names; create, link and merge conversations as needed.

    Names are written in their order, so that two transactions never wait for each other in a circle. If somebody
    else created one of them between our reading and our writing, all is read again.
    """
    parts = connected_groups(sorted(set(groups)))
    if not parts:
        return {}
    names = sorted({name for part in parts for group in part for name in group})
    created: dict[int, str] = {}  # by any of our plans: a name of ours may stand for it already
    for _ in range(MAX_PLANS):
        known = dict(Prepared(connection).rows(KNOWN, names))
        unknown = sum(not any(name in known for group in part for name in group) for part in parts)
        decided = plan_merges(parts, known, iter(new_lanes(connection, unknown)))
        created |= decided.new_conversations
        if _write_names(connection, decided.new_names):
            chosen = set(decided.lanes.values())
            decided.new_conversations = {id_: name for id_, name in created.items() if id_ in chosen}
            _write_conversations(connection, decided)
            return decided.lanes
    raise RuntimeError("conversation names kept changing under us; the delivery will be ingested again")


def new_lanes(connection: Connection, count: int) -> list[int]:
    """Return new lane numbers: for new conversations, and for events that belong to none."""
    return [lane for (lane,) in Prepared(connection).rows(NEW_LANES, count)] if count else []


def _write_names(connection: Connection, new_names: dict[str, int]) -> bool:
    """Insert names; return False if somebody else created one of them first."""
    if not new_names:
        return True
    keys = sorted(new_names)
    inserted = Prepared(connection).rows(ADD_NAMES, keys, [new_names[key] for key in keys])
    # Fewer rows than names: another ingest got there first.
    return len(inserted) == len(keys)


def _write_conversations(connection: Connection, decided: MergePlan) -> None:
    if decided.new_conversations:
        ids = list(decided.new_conversations)
        names = [decided.new_conversations[id_] for id_ in ids]
        Prepared(connection).rows(ADD_CONVERSATIONS, ids, names)
    for name, (loser, winner) in sorted(decided.moved_names.items()):
        connection.execute(REPOINT_ALIAS, {"key": name, "winner": winner})
        _merge(connection, loser, winner)


def _merge(connection: Connection, loser: int, winner: int) -> None:
    """Merge a conversation that has no name left: its events go on in the winner's lane.

    An attempt that runs in the loser's lane right now keeps that lane's claim; who runs the winner's takes it too
    (``lane.Head.merged``), so the two do not overlap.
    """
    parameters = {"loser": loser, "winner": winner}
    if connection.execute(MERGE_NAMELESS, parameters).rowcount:
        connection.execute(FLATTEN_MERGES, parameters)
        connection.execute(MERGE_WATERMARK, parameters)
        connection.execute(MERGE_FENCE, parameters)
        connection.execute(MOVE_EVENTS, parameters)
        log.info("conversation.merged", lane=loser, into=winner)
