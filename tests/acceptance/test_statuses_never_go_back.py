"""A message's status only moves forward, however its updates arrive."""

import random

from sqlalchemy import text

from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import conversations, status_of
from tests.helpers.factories import NOW

RANKED = ("sent", "failed", "delivered", "read", "played")
SHUFFLE = random.Random(12)

STATUSES = text("""
SELECT message_id, status::text, ARRAY[sent_at, failed_at, delivered_at, read_at, played_at] AS times
FROM message_statuses WHERE message_id = ANY(:ids)
""")


def test_statuses_in_any_order_twice_and_through_a_crash_end_at_the_highest(pipeline: Pipeline) -> None:
    answered = conversations(40, 1)
    states = {
        each.number: sorted(SHUFFLE.sample(range(len(RANKED)), SHUFFLE.randint(1, 5))) for each in answered
    }
    updates = [status_of(each, RANKED[rank], at=rank) for each in answered for rank in states[each.number]]
    arriving = SHUFFLE.sample(updates * 2, len(updates) * 2)
    answers = [pipeline.meta.begin(each.content) for each in arriving]
    answers[len(answers) // 2].result()
    pipeline.stack.kill("ingest1")
    assert {answer.result() for answer in answers} == {200}
    pipeline.stack.start("ingest1")
    pipeline.wait_until_final(updates)

    ids = {
        updates[0].raw["id"]: each.number for each in answered for updates in [[status_of(each, "sent", 0)]]
    }
    found = {ids[row.message_id]: row for row in pipeline.rows(STATUSES, ids=list(ids))}
    for number, ranks in states.items():
        assert found[number].status == RANKED[ranks[-1]]
        seconds = [time and round(time.timestamp()) for time in found[number].times]
        assert seconds == [NOW + number + rank if rank in ranks else None for rank in range(len(RANKED))]
