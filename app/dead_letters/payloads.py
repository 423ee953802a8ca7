"""Check a payload that a person has edited. Pure, no I/O."""

import json
from typing import Any

from app.errors import NeverdropError
from app.payload import canonical


class PayloadError(NeverdropError):
    """An edited payload that no handler could read."""


def validate_payload(payload: str) -> str:
    """Return the payload as it is stored. Raises PayloadError, which says where it is not JSON."""
    try:
        content = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"this is not JSON: {error or type(error).__name__}") from error
    if not isinstance(content, dict) or "item" not in content:
        raise PayloadError('the payload must be an object with an "item": handlers read it')
    return canonical(content)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
