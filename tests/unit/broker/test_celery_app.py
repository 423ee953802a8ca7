"""Which broker our Celery applications speak to."""

import pytest

from app.broker.celery_app import NeverdropCelery
from config.settings import load

OURS = "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(
    "variable", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"]
)
def test_another_applications_broker_in_the_environment_is_not_ours(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "redis://127.0.0.1:1/0")
    app = NeverdropCelery(load(neverdrop_env="development", redis_url=OURS), set_as_current=False)
    opened = app.connection(), app.connection_for_read(), app.connection_for_write()
    assert [connection.as_uri(include_password=True) for connection in opened] == [OURS] * len(opened)
