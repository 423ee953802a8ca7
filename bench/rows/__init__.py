"""The rows of the comparison, by what they look at: answers, the pipeline, its depth, and what an event costs."""

from bench.measure import Row
from bench.options import Options
from bench.rows import ack, cost, depth, held, pipeline, tables


def all_rows(options: Options) -> list[Row]:
    """In the order of the report."""
    return [row for part in (ack, pipeline, held, depth, tables, cost) for row in part.rows(options)]
