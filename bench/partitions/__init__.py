"""Whether the table of events were better in parts: ``python -m bench.partitions``."""
