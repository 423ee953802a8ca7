"""Draw the packages and their arrows from the imports: ``python -m tests.architecture_map [FILE]``.

Without a file the drawing is printed. With one, what stands between the two markers in it is replaced.
"""

import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

from tests.helpers.imports import crossings, modules, package_of

BEGIN = "<!-- map: begin (make map) -->"
END = "<!-- map: end -->"


def arrows() -> dict[str, set[str]]:
    """Return each package with the packages that it imports from."""
    targets: dict[str, set[str]] = {package_of(name): set() for name in modules() if name != "app"}
    for importer, imported in crossings():
        targets[package_of(importer)].add(package_of(imported))
    return targets


def direct(targets: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each arrow that a longer way implies, since nobody can read a drawing of all of them."""
    reachable: dict[str, set[str]] = defaultdict(set)
    for package in TopologicalSorter(targets).static_order():
        for target in targets[package]:
            reachable[package] |= {target} | reachable[target]
    return {
        package: {t for t in mine if not any(t in reachable[other] for other in mine - {t})}
        for package, mine in targets.items()
    }


def ordered(targets: dict[str, set[str]]) -> list[str]:
    """Return the packages from the top down, those of one height by name."""
    height: dict[str, int] = {}
    for package in TopologicalSorter(targets).static_order():
        height[package] = 1 + max((height[target] for target in targets[package]), default=0)
    return sorted(targets, key=lambda package: (-height[package], package))


def short(package: str) -> str:
    return package.removeprefix("app.")


def drawing() -> str:
    """Return a Mermaid flowchart of the direct arrows, and a table of all of them."""
    targets = arrows()
    drawn = direct(targets)
    packages = ordered(targets)
    chart = [f"    {short(p)} --> {short(t)}" for p in packages for t in sorted(drawn[p])]
    table = [
        f"| `{short(p)}` | {', '.join(f'`{short(t)}`' for t in packages if t in targets[p]) or 'nothing'} |"
        for p in packages
    ]
    return "\n".join(
        [BEGIN, "", "```mermaid", "flowchart TD", *chart, "```", "", "| package | imports from |", "|---|---|",
         *table, "", END]
    )  # fmt: skip


def replaced(text: str) -> str:
    """Return a page's text with today's drawing in it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + drawing() + after


def main() -> None:
    if len(sys.argv) < 2:
        sys.stdout.write(drawing() + "\n")
        return
    page = Path(sys.argv[1])
    page.write_text(replaced(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
