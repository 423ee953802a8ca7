"""What the Dockerfile says."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument), continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def image_default(instruction: str) -> list[str]:
    """The last such instruction's command, in its JSON form."""
    argument = [rest for name, rest in instructions() if name == instruction][-1]
    command: list[str] = json.loads(argument[argument.index("[") :])
    return command
