"""How often Python looks for reference cycles in the web: seldom, and not in what is there from the start on.

Each connection leaves cycles. By default Python looks after 700 new objects, and then, ever more often the more
connections there are, through all that was ever imported: while it looks nobody is answered.
"""

import gc

NEW_OBJECTS = 20_000  # of which those that are kept are looked at 10 times more seldom, and so on


def collect_seldom() -> None:
    """Call once what lives as long as the process has been imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 10, 10)
