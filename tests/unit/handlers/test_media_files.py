"""What users and webhooks say of a file leads to no other place than its own."""

import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import SpooledTemporaryFile

import pytest

from app.handlers.media import Media, _write_privately, of_item
from config.settings import Settings

NAMES = {
    "../../etc/cron.d/x": "x",
    "/etc/passwd": "passwd",
    "..\\..\\windows\\system.ini": "system.ini",
    "..": None,
    ".": None,
    "": None,
    ".bashrc": "bashrc",
    "a\0b.pdf": "ab.pdf",
    "bill\x1b[2J.pdf": "bill[2J.pdf",
    "bill\u202efdp.exe": "billfdp.exe",
    "Rechnung März.pdf": "Rechnung März.pdf",
    "dir/": None,
}
CONTENT = b"content"


def document(**more: object) -> dict[str, object]:
    return {"type": "document", "document": {"id": "123", "mime_type": "x", **more}}


def media(**more: object) -> Media:
    found = of_item(document(**more), "1")
    assert found is not None
    return found


@pytest.mark.parametrize(("given", "safe"), NAMES.items())
def test_a_name_stays_in_its_directory(given: str, safe: str | None) -> None:
    assert media(filename=given).filename == safe


def test_a_name_is_no_longer_than_a_file_system_takes() -> None:
    name = media(filename="ä" * 1_000 + ".pdf").filename
    assert name is not None
    assert name.endswith("ä.pdf")
    assert len(name.encode()) <= 200


@pytest.mark.parametrize(
    "id_", ["../me", "1/../../x", "1?fields=x", "1#x", "@evil.example/", "", "1\r\nX: y", 5 * "%2e"]
)
def test_an_id_that_would_be_another_address_is_no_file(id_: str) -> None:
    assert of_item(document(id=id_), "1") is None


def content() -> SpooledTemporaryFile[bytes]:
    file = SpooledTemporaryFile()  # noqa: SIM115  (closed by whoever reads it)
    file.write(CONTENT)
    file.seek(0)
    return file


def test_a_stored_file_is_for_this_user_alone(
    tmp_path: Path, env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    env(MEDIA_STORE=str(tmp_path / "media"))
    monkeypatch.setattr(Media, "_download", lambda _: content())
    stored = Path(media(sha256=_base64(CONTENT)).store())
    assert stored.read_bytes() == CONTENT
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
    assert [each.name for each in stored.parent.iterdir()] == [stored.name]


def test_a_link_that_is_planted_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    mine, planted = tmp_path / "mine", tmp_path / "planted"
    mine.write_text("mine")
    planted.symlink_to(mine)
    with content() as file:
        _write_privately(file, planted)
    assert mine.read_text() == "mine"
    assert not planted.is_symlink()
    assert planted.read_bytes() == CONTENT


def test_what_breaks_off_is_not_taken_for_the_file(tmp_path: Path) -> None:
    class Broken(SpooledTemporaryFile[bytes]):
        def read(self, *_: object) -> bytes:
            raise OSError("the disk is full")

    with Broken() as file, pytest.raises(OSError, match="full"):
        _write_privately(file, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(sha256(data).digest()).decode()
