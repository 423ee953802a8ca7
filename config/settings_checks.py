"""What is wrong with single values and names of the environment, as sentences. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

# Names of the environment that are read elsewhere than in ``Settings``, as the docs have them
READ_ELSEWHERE = frozenset(
    {
        "BROKER_URL", "CELERY_BROKER_URL", "CELERY_WORKER_CONCURRENCY", "FLOWER_ADDRESS", "FLOWER_PORT",
        "POSTGRES_PASSWORD", "PROMETHEUS_MULTIPROC_DIR", "VALKEY_PASSWORD", "WEB_CONCURRENCY",
    }
)  # fmt: skip
MIN_NAME = 6  # characters: shorter names are too near to each other
MAX_EDITS = 2
MIN_RETENTION_DAYS = 8  # Meta repeats a webhook for 7 days; one more for clocks that differ
MAX_RETENTION_DAYS = 36_500


def database_url(url: str) -> str:
    """Return the URL as psql takes it too; ValueError for another database's."""
    for scheme in ("postgres://", "postgresql://", "postgresql+psycopg2://"):
        if url.startswith(scheme):
            rest = url.removeprefix(scheme)
            _check_text(rest)
            _check_hosts(f"postgresql://{rest}")
            return f"postgresql://{rest}"
    if url:
        raise ValueError("must start with postgresql:// or postgres://")
    return url


def http_url(url: str) -> str:
    """Return an address that can be posted to; ValueError for one that cannot."""
    if not url:
        return url
    _check_text(url)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be like https://host/path")
    _ = parts.port  # ValueError for one that is no port
    return url


def sentry_dsn(dsn: str) -> str:
    """Return Sentry's address; ValueError where it would report nothing."""
    if not dsn:
        return dsn
    parts = urlsplit(dsn)
    if (
        parts.scheme not in ("http", "https")
        or not parts.username
        or not parts.path.strip("/").split("/")[-1].isdecimal()
    ):
        raise ValueError("must be like https://key@host/number: copy it from Sentry, Settings > Client Keys")
    return dsn


def basic_auth(text: str) -> str:
    """Return Flower's users; ValueError where one has no name or no password."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        user, colon, password = part.partition(":")
        if not (colon and user and password):
            raise ValueError("must be like user:password, several separated by commas")
    return text


def check_retention(days: int) -> int:
    """An age in days at which what is finished may be deleted; ValueError for one that is too small or too large."""
    if days < MIN_RETENTION_DAYS:
        raise ValueError(
            f"must be at least {MIN_RETENTION_DAYS} days: Meta repeats a webhook for 7 days,"
            " and a repeat of what was deleted would be a new event"
        )
    if days > MAX_RETENTION_DAYS:
        raise ValueError(f"must be at most {MAX_RETENTION_DAYS} days; without a value nothing is deleted")
    return days


def misspelt(environ: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is no setting, but nearly one that is not set itself."""
    settings = {name.upper() for name in known}
    names = settings | {f"{name}_FILE" for name in settings}
    unset = {
        name for name in names - environ.keys() if f"{name}_FILE" not in environ and len(name) >= MIN_NAME
    }
    unset -= {name for name in unset if name.removesuffix("_FILE") in environ}
    found = []
    for name in sorted(environ.keys() - names - READ_ELSEWHERE):
        near = [
            each for each in sorted(unset) if abs(len(each) - len(name)) <= MAX_EDITS and _is_near(name, each)
        ]
        if name[0].isalpha() and name.isupper() and near:
            found.append(
                f"{name}: is no setting; {near[0]} is. Rename it, or set {near[0]} too if both are meant"
            )
    return found


def _is_near(name: str, known: str) -> bool:
    """Whether one is the other with one slip of the hand: a letter more, less, another, or two that changed places."""
    if sorted(name) == sorted(known):
        return sum(a != b for a, b in zip(name, known, strict=True)) <= MAX_EDITS
    short, long = sorted((name, known), key=len)
    if len(short) == len(long):
        return sum(a != b for a, b in zip(name, known, strict=True)) == 1
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))


def _check_hosts(url: str) -> None:
    """ValueError for a port that is none: mostly a password with a character in it that has a meaning in a URL."""
    for host in urlsplit(url).netloc.rpartition("@")[2].split(","):
        try:
            _ = urlsplit(f"//{host}").port
        except ValueError:
            raise ValueError(
                "has a port that is no number; in a password write @ as %40, / as %2F, : as %3A, # as %23, % as %25"
            ) from None


def _check_text(text: str) -> None:
    if any(ord(letter) < ord(" ") for letter in text):
        raise ValueError("has a control character in it: was it copied whole, and alone?")
