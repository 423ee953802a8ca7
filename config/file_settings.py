"""Settings in files: ``NAME_FILE`` for each setting ``NAME``, as Docker and Kubernetes give secrets."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic_settings import EnvSettingsSource


class FileSettingsSource(EnvSettingsSource):
    """Reads ``NAME_FILE`` for every field ``name``; ``unreadable_files`` names those that cannot be read."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  (the signature is given)
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if path is None:
            return None, field_name, False
        with suppress(OSError, UnicodeDecodeError):
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        return None, field_name, False


def unreadable_files(names: Iterable[str]) -> list[str]:
    """Return a sentence for each such file that cannot be read."""
    faults = []
    for name in map(str.upper, names):
        path = os.environ.get(f"{name}_FILE")
        try:
            if path is not None:
                Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{name}_FILE: cannot read {path}: {error}")
    return faults
