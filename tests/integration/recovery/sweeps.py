"""What the tests of the sweeps share."""

GRACE_SECONDS = 10

OLD_MS = 60_000

HOUR_MS = 3_600_000
