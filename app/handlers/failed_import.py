"""Says in one line why a team's module cannot be imported: file, line, and the error."""

import sys
import traceback
from pathlib import Path

OURS = Path(__file__).parents[1]
INSTALLED = ("site-packages", "dist-packages")


def describe_failure(error: Exception) -> str:
    """Return file and line of the team's code that failed, as far as there is one, and the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [f"{frame.filename}:{frame.lineno}: " for frame in traceback.extract_tb(error.__traceback__)
              if _is_of_the_team(frame.filename)]  # fmt: skip
    return f"{frames[-1] if frames else ''}{type(error).__name__}: {error}"


def _is_of_the_team(filename: str) -> bool:
    path = Path(filename)
    ours = path.is_relative_to(OURS) or path.is_relative_to(sys.base_prefix)
    return path.suffix == ".py" and not ours and not any(part in INSTALLED for part in path.parts)
