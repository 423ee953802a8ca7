"""Our templates beside Flower's, and our pages in Flower's navigation bar. No template of Flower's is copied."""

from pathlib import Path
from typing import Any

from tornado.template import Loader, Template

from app.flower.tasks import jobs_of
from config.logging import get_logger

OURS = Path(__file__).parent / "templates"
NAVIGATION = "navbar.html"
LAST_OF_FLOWERS = "{{ reverse_url('broker') }}"  # our items come after the one that links there
ITEM_END = "</li>"
INLINE = ("workers.html",)  # of Flower's templates, that hold a script
INLINE_SCRIPT = '<script type="text/javascript">'
NONCE_SCRIPT = '<script nonce="{{ handler.nonce }}">'
PAGES = (
    ("dead_letters", "Dead letters"),
    ("pipeline", "Pipeline"),
    ("conversations", "Conversations"),
    ("outbox", "Outbox"),
    ("replays", "Replays"),
)
TASK = "task.html"
RESULT = "{{ getattr(task, 'result', '') }}"  # our rows come after the one that shows it
ROW_END = "</div>"
ROWS = '{% include "task_jobs.html" %}'
ITEM = """
        <li class="nav-item">
          <a class="nav-link{{% if active_tab == '{name}' %}} active{{% end %}}"
            href="{{{{ reverse_url('{name}') }}}}"
            {{% if active_tab == '{name}' %}}aria-current="page"{{% end %}}>{title}</a>
        </li>"""

log = get_logger(__name__)


class OverlayLoader(Loader):
    """Finds a template among ours first."""

    def _create_template(self, name: str) -> Template:
        ours = OURS / name
        if ours.is_file():
            return Template(ours.read_bytes(), name=name, loader=self)
        if name == NAVIGATION:
            source = (Path(self.root) / name).read_text(encoding="utf-8")
            return Template(with_neverdrop_items(source), name=name, loader=self)
        if name == TASK:
            source = (Path(self.root) / name).read_text(encoding="utf-8")
            return Template(with_jobs(source), name=name, loader=self)
        if name in INLINE:
            source = (Path(self.root) / name).read_text(encoding="utf-8")
            return Template(source.replace(INLINE_SCRIPT, NONCE_SCRIPT), name=name, loader=self)
        return super()._create_template(name)


def with_neverdrop_items(navigation: str) -> str:
    """Flower's navigation bar with our pages in it."""
    items = "".join(ITEM.format(name=name, title=title) for name, title in PAGES)
    return _with_ours(navigation, LAST_OF_FLOWERS, ITEM_END, items, "flower.navigation_unknown")


def with_jobs(task: str) -> str:
    """Flower's page of a task with the jobs that it ran."""
    return _with_ours(task, RESULT, ROW_END, ROWS, "flower.task_page_unknown")


def _with_ours(source: str, after: str, end: str, ours: str, unknown: str) -> str:
    """Put ours behind the element of Flower's that holds ``after``; where there is none any more, log ``unknown``."""
    anchor = source.find(after)
    behind = source.find(end, anchor)
    if anchor < 0 or behind < 0:
        log.warning(unknown)
        return source
    behind += len(end)
    return source[:behind] + ours + source[behind:]


def loader(flower_templates: str) -> Any:
    """For Tornado's setting ``template_loader``."""
    return OverlayLoader(flower_templates, namespace={"jobs_of": jobs_of})
