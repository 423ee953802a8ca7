"""What Flower's pages are made of is in the package that ships, from this server alone, and makes no HTML of text."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLOWER = ROOT / "app" / "flower"
SCRIPTS = sorted(FLOWER.glob("static/*.js"))
TEMPLATES = sorted(FLOWER.glob("templates/*.html"))
FILES = [path for path in FLOWER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
# Ways to make HTML, or code, of a text
DANGEROUS = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "Function(",
    "srcdoc",
    "DOMParser",
)


def test_every_file_that_is_served_is_in_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for pattern in data["app.flower"] for path in FLOWER.glob(pattern)}
    assert set(FILES) - shipped == set()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_of_ours_makes_html_of_text(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert [word for word in DANGEROUS if word in source] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_of_ours_writes_a_time_in_a_form_of_its_own(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert re.findall(r"toLocale(?:Time|Date)String|DateTimeFormat", source) == []
    assert len(re.findall(r"Date\([^)]*\)\.toLocaleString", source)) == (script.name == "page.js")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_of_ours_leaves_a_text_unescaped_or_holds_a_script(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert "{% raw" not in source
    assert "autoescape" not in source
    assert re.findall(r"<script(?![^>]*src=)", source) == []
    assert re.findall(r"\son[a-z]+=", source) == []


@pytest.mark.parametrize(
    "path", [*SCRIPTS, *TEMPLATES, FLOWER / "static" / "neverdrop.css"], ids=lambda path: path.name
)
def test_nothing_comes_from_another_server(path: Path) -> None:
    assert re.findall(r"https?://", path.read_text(encoding="utf-8")) == []


def test_the_chart_library_comes_with_its_licence() -> None:
    library = FLOWER / "static" / "uplot"
    assert "MIT License" in (library / "LICENSE").read_text(encoding="utf-8")
    assert (library / "uPlot.iife.min.js").is_file()
