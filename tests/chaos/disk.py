"""A small disk for Valkey that can be filled: a tmpfs in a mount namespace of our own, which nobody else sees.

The namespace ends with this process and all that it started, and the tmpfs with it, however they end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SIZE_BYTES = 384 * 1024**2  # the AOF is rewritten long before
WRAPPER = ("unshare", "--mount", "--propagation", "private")
INSIDE = "NEVERDROP_CHAOS_NAMESPACE"
CHUNK_BYTES = 1024**2
BLOCK_BYTES = 4096


def enter_namespace() -> str | None:
    """Run this very command again in a namespace of its own; returns why that cannot be, or None inside it."""
    if os.environ.get(INSIDE):
        return None
    refused = _refused()
    if refused is None:
        os.environ[INSIDE] = "1"
        os.execvp(WRAPPER[0], [*WRAPPER, sys.executable, "-m", "tests.chaos", *sys.argv[1:]])
    return refused


def _refused() -> str | None:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a tmpfs needs root and Linux"
    if shutil.which(WRAPPER[0]) is None:
        return "there is no unshare(1)"
    probe = [*WRAPPER, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]  # gone with its namespace
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"no tmpfs can be mounted: {tried.stderr.strip()}" if tried.returncode else None


def mount(path: Path) -> None:
    """A tmpfs at ``path``; only inside a namespace of our own."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(path)], check=True)


def fill(path: Path) -> Callable[[], None]:
    """Leave no byte free on the disk of ``path``; what is returned gives the space back."""
    filler = path / "filler"
    size = 0
    with filler.open("wb", buffering=0) as file:
        for chunk in (CHUNK_BYTES, BLOCK_BYTES):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), size, chunk)
                    size += chunk
    return filler.unlink
