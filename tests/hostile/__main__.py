"""``make attack``: every attack at once on one web process, honest posts beside, memory and latency printed.

python -m tests.hostile --seconds 600 --connections 2000
"""

import argparse
import resource
import sys

from tests.hostile.siege import Report, besiege

SECONDS = 600
CONNECTIONS = 2_000


def main() -> int:
    """Return 0 when memory and latency stayed within their bounds."""
    parser = argparse.ArgumentParser(prog="make attack", description="attack one web process on loopback")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    options = parser.parse_args()
    report: Report = besiege(options.connections, options.seconds)
    print(report)  # noqa: T201  (what it is for)
    return 0 if report.held else 1


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.exit(main())
