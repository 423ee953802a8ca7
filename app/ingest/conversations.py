"""Find the conversation of an event, whatever name its user goes by today.

A user is known by a BSUID, by a phone number, or by both, and either may be missing from a body or change; a
conversation stays one as long as some body once carried two of its names together. The strongest name wins:
a weaker one that stands for another conversation is pointed at the winner, and a conversation that has no name
left is merged into it.

A phone number that comes with another BSUID has a new owner: the number moves to a new conversation, and the first
owner keeps the old one. If Meta says that the BSUID of a user has changed, the conversation goes on.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from app import outbox
from app.ingest.merge_plan import MergePlan, NameGroup, is_phone, plan_merges
from app.stores import Prepared
from config.logging import get_logger

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
WITH added AS (INSERT INTO conversations (id, key) SELECT * FROM unnest($1, $2))
-- DO NOTHING: while the release before may run, a trigger inserts it too
INSERT INTO lanes (id, conversation_id, lane_name_id) SELECT id, id, 1 FROM unnest($1) AS id ON CONFLICT DO NOTHING
"""
NAMES_OF = """
PREPARE names_of_conversations (bigint[]) AS
SELECT conversation_id, key FROM conversation_aliases WHERE conversation_id = ANY($1)
"""
# Merges wait for each other: two that overlap would leave a chain that no lane follows to its end, or a conversation
# that neither sees without a name
LOCK_MERGES = text("SELECT pg_advisory_xact_lock(hashtextextended('neverdrop conversation merges', 0))")
REPOINT_ALIAS = text("UPDATE conversation_aliases SET conversation_id = :winner WHERE key = :key")
IS_NAMELESS = text("""
SELECT EXISTS (SELECT FROM conversations WHERE id = :loser AND merged_into IS NULL)
   AND NOT EXISTS (SELECT FROM conversation_aliases WHERE conversation_id = :loser)
""")
MARK_MERGED = text("UPDATE conversations SET merged_into = :winner WHERE id = :loser")
FLATTEN_MERGES = text("UPDATE conversations SET merged_into = :winner WHERE merged_into = :loser")
MERGE_LANES = text("SELECT merge_lanes(:loser, :winner)")
MOVE_EVENTS = text("UPDATE events SET lane = :winner WHERE lane = :loser")


def resolve(connection: Connection, groups: Sequence[NameGroup]) -> list[int]:
    """Return the conversation of each group of names; create, link and merge conversations as needed.

    In the caller's transaction. The groups are in the order of acceptance. Names are written in their order, so that
    two transactions never wait for each other in a circle. If somebody else created one of them between our reading
    and our writing, or if conversations are to be merged, all is read again, a merge under a lock.
    """
    if not groups:
        return []
    names = sorted({name for group in groups for name in group.names})
    created: dict[int, str] = {}  # by any of our plans: a name of ours may stand for it already
    locked = False
    for _ in range(MAX_PLANS):
        known = dict(Prepared(connection).rows(KNOWN, names))
        plan = plan_merges(groups, known, _identified(connection, groups, known))
        if plan.moved_names and not locked:
            connection.execute(LOCK_MERGES)
            locked = True
            continue
        plan.number(new_lanes(connection, len(plan.new_conversations)))
        created |= plan.new_conversations
        if _write_names(connection, plan.new_names):
            used = set(plan.lanes)
            _write_conversations(connection, {id_: name for id_, name in created.items() if id_ in used})
            merged = _move_names(connection, plan)
            return [merged.get(lane, lane) for lane in plan.lanes]
    raise RuntimeError("conversation names kept changing under us; the delivery will be ingested again")


def _identified(connection: Connection, groups: Sequence[NameGroup], known: dict[str, int]) -> set[int]:
    """Return the conversations that have a BSUID, of those that a new BSUID might join by its phone number.

    Costs a round trip where there is such a BSUID, and none elsewhere.
    """
    asked: set[int] = set()
    for names, change_notice in groups:
        if change_notice or len(names) == 1 or is_phone(names[0]) or names[0] in known:
            continue
        asked.update(known[name] for name in names if name in known)
    if not asked:
        return set()
    rows = Prepared(connection).rows(NAMES_OF, sorted(asked))
    return {conversation for conversation, name in rows if not is_phone(name)}


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


def _write_conversations(connection: Connection, conversations: dict[int, str]) -> None:
    if conversations:
        ids = list(conversations)
        Prepared(connection).rows(ADD_CONVERSATIONS, ids, [conversations[id_] for id_ in ids])


def _move_names(connection: Connection, plan: MergePlan) -> dict[int, int]:
    """Point names at the conversations that they stand for now; return the merged lanes, each with its winner."""
    for name, (_, winner) in sorted(plan.moved_names.items()):
        connection.execute(REPOINT_ALIAS, {"key": name, "winner": winner})
    winner_of = dict(sorted(plan.moved_names.values()))
    return {loser: winner for loser, winner in winner_of.items() if _merge(connection, loser, winner)}


def _merge(connection: Connection, loser: int, winner: int) -> bool:
    """Merge a conversation that has no name left: its jobs go on in the winner's lanes, its sends among the winner's.

    Conversations are locked before events, and events before jobs, as by an ingest.

    An attempt that runs in the loser's lane right now keeps that lane's claim; who runs the winner's takes it too
    (``lanes.statements``), so the two do not overlap.
    """
    parameters = {"loser": loser, "winner": winner}
    if not connection.execute(IS_NAMELESS, parameters).scalar_one():
        return False
    connection.execute(MARK_MERGED, parameters)
    connection.execute(FLATTEN_MERGES, parameters)
    connection.execute(MOVE_EVENTS, parameters)
    connection.execute(MERGE_LANES, parameters)
    outbox.move(connection, loser, winner)
    log.info("conversation.merged", lane=loser, into=winner)
    return True
