"""The load: bodies, the processes that send them, and the tally of their answers."""
