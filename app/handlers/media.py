"""What a user sent as a file: downloaded from Meta once, its checksum looked at, kept in MEDIA_STORE."""

import binascii
import hashlib
import os
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from app import graph
from app.errors import NeverdropError, Permanent
from config.settings import settings

TYPES = ("image", "video", "audio", "document", "sticker")
ID = re.compile(r"[A-Za-z0-9_-]{1,256}")  # becomes a part of Graph's address
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # control and direction
MAX_NAME_BYTES = 200  # a file system takes 255
DIRECTORY_MODE = 0o700
IN_MEMORY_BYTES = 1024 * 1024  # what is larger is spooled to disk


class WrongChecksum(Permanent):
    """What Meta sent is not what the message announced."""


class NoMediaStore(NeverdropError):
    """MEDIA_STORE is not set."""


@dataclass(frozen=True, slots=True)
class Media:
    """A file that a user sent; nothing is downloaded before it is asked for."""

    id: str
    number: str
    type: str  # image, video, audio, document or sticker
    mime_type: str
    sha256: str  # hex, as the message announced it; "" where it did not
    filename: str | None  # as the user named it, without what would lead out of a directory
    caption: str | None

    def read(self) -> bytes:
        """Return the content: from MEDIA_STORE if it is kept there, else from Meta."""
        with self.open() as content:
            return content.read()

    def save(self, path: str | Path) -> None:
        """Write the content to a file."""
        with self.open() as content, Path(path).open("wb") as file:
            _copy(content, file.write)

    def store(self) -> str:
        """Keep the content in MEDIA_STORE and return where; what is kept already is not downloaded again.

        It is named by its checksum, so that a second attempt, or the same picture by another user, is stored once.
        """
        location = self.location
        if location is None:
            raise NoMediaStore(
                "MEDIA_STORE is not set: give a directory, or s3://bucket/prefix with s3fs installed"
            )
        files, path = fsspec.core.url_to_fs(location)
        if not files.exists(path):
            with self._download() as content:
                if isinstance(files, LocalFileSystem):
                    _write_privately(content, Path(path))
                else:  # an object is there when it is whole
                    with files.open(path, "wb") as file:
                        _copy(content, file.write)
        return location

    def open(self) -> IO[bytes]:
        """Return the content as an open file."""
        location = self.location
        if location is not None:
            files, path = fsspec.core.url_to_fs(location)
            if files.exists(path):
                kept: IO[bytes] = files.open(path, "rb")
                return kept
        return self._download()

    @property
    def location(self) -> str | None:
        """Where MEDIA_STORE keeps it, or would; None without a store, or without a checksum to name it by."""
        store = settings().media_store
        return f"{store.rstrip('/')}/{self.sha256[:2]}/{self.sha256}" if store and self.sha256 else None

    def _download(self) -> IO[bytes]:
        """Return what Meta sends, whole and with the right checksum."""
        digest = hashlib.sha256()
        content: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        try:
            with graph.download(self.number, self.id) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    content.write(chunk)
            self._check(digest.hexdigest())
        except BaseException:
            content.close()
            raise
        content.seek(0)
        return content

    def _check(self, sha256: str) -> None:
        if self.sha256 and sha256 != self.sha256:
            raise WrongChecksum(f"the media {self.id} has another checksum than its message says")


def of_item(item: Any, number: str | None) -> Media | None:
    """Return the file of a message; None where it has none."""
    type_ = item.get("type") if isinstance(item, dict) else None
    found = item.get(type_) if type_ in TYPES else None
    if not number or not isinstance(found, dict) or not ID.fullmatch(str(found.get("id"))):
        return None
    text = {
        name: value if isinstance(value := found.get(name), str) else None for name in ("filename", "caption")
    }
    return Media(
        id=found["id"],
        number=number,
        type=str(type_),
        mime_type=str(found.get("mime_type") or ""),
        sha256=_hex(found.get("sha256")),
        filename=_safe_name(text["filename"]),
        caption=text["caption"],
    )


def _hex(announced: Any) -> str:
    """Return Meta's checksum, which webhooks have in Base64, in hex; "" for what is none."""
    if not isinstance(announced, str):
        return ""
    try:
        digest = b64decode(announced, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else ""


def _safe_name(name: str | None) -> str | None:
    """Return a name that stays in the directory where a handler puts it: users choose names."""
    if name is None:
        return None
    last = UNSAFE.sub("", name).replace("\\", "/").rpartition("/")[2].strip().lstrip(".")
    stem, suffix = os.path.splitext(last)
    suffix = suffix if len(suffix.encode()) < MAX_NAME_BYTES // 2 else ""
    return stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix or None


def _write_privately(content: IO[bytes], path: Path) -> None:
    """Write a file that this user alone may read, whole or not at all; a link in its place is replaced.

    1. write a file of another name beside it, and wait for the disk; 2. rename it. Dying before 2 leaves the other,
    which nobody reads.
    """
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:  # 0600
        try:
            _copy(content, file.write)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _copy(content: IO[bytes], write: Callable[[bytes], object]) -> None:
    while chunk := content.read(IN_MEMORY_BYTES):
        write(chunk)
