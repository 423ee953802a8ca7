"""Measure whether the table of events is faster when it is partitioned: ``python -m bench.partitions``."""
