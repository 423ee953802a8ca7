"""Our templates beside Flower's, and our pages in Flower's navigation bar. No template of Flower's is copied."""

from pathlib import Path
from typing import Any

from tornado.template import Loader, Template

from config.logging import get_logger

OURS = Path(__file__).parent / "templates"
NAVIGATION = "navbar.html"
LAST_OF_FLOWERS = "{{ reverse_url('broker') }}"  # our items come after the one that links there
ITEM_END = "</li>"
INLINE = ("workers.html",)  # of Flower's templates, that hold a script
INLINE_SCRIPT = '<script type="text/javascript">'
NONCE_SCRIPT = '<script nonce="{{ handler.nonce }}">'
PAGES = (("dead_letters", "Dead letters"), ("pipeline", "Pipeline"), ("outbox", "Outbox"))
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
        if name in INLINE:
            source = (Path(self.root) / name).read_text(encoding="utf-8")
            return Template(source.replace(INLINE_SCRIPT, NONCE_SCRIPT), name=name, loader=self)
        return super()._create_template(name)


def with_neverdrop_items(navigation: str) -> str:
    """Flower's navigation bar with our pages in it; where it has changed too much, as it is."""
    anchor = navigation.find(LAST_OF_FLOWERS)
    end = navigation.find(ITEM_END, anchor)
    if anchor < 0 or end < 0:
        log.warning("flower.navigation_unknown")
        return navigation
    end += len(ITEM_END)
    items = "".join(ITEM.format(name=name, title=title) for name, title in PAGES)
    return navigation[:end] + items + navigation[end:]


def loader(flower_templates: str) -> Any:
    """For Tornado's setting ``template_loader``."""
    return OverlayLoader(flower_templates)
