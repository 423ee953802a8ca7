"""What is asked of Redis before it is trusted with webhooks."""

from typing import Any

import pytest
from redis.exceptions import BusyLoadingError

from app.stores.redis_checks import findings


class Loading:
    """A Redis that reads its AOF after a crash: meanwhile it says that it keeps none."""

    def info(self, section: str) -> dict[str, Any]:
        return {"persistence": {"loading": 1, "aof_enabled": 0}}.get(section, {})


def test_a_redis_that_is_loading_its_data_is_not_judged_yet() -> None:
    with pytest.raises(BusyLoadingError):
        findings(Loading())  # type: ignore[arg-type]
