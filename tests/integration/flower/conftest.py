"""What the tests of Flower's pages share."""

from collections.abc import Iterator

import pytest

from tests.helpers.core import Core
from tests.helpers.flower import Page, flower_page


@pytest.fixture
def page(core: Core) -> Iterator[Page]:
    with flower_page() as opened:
        yield opened
