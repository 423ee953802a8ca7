"""What of the web is for operators alone."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from app.web.process import create_app
from config.settings import Settings

PRODUCTION = {
    "NEVERDROP_ENV": "production",
    "WHATSAPP_APP_SECRET": "secret",
    "METRICS_TOKEN": "tökén-of-a-test",
}
RIGHT = {"Authorization": "Bearer tökén-of-a-test".encode().decode("latin-1")}


@pytest.fixture
def client(env: Callable[..., Settings]) -> FlaskClient:
    env(**PRODUCTION)
    return create_app().test_client()


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic tökén-of-a-test", "Bearer té"]
)
def test_who_has_no_token_sees_no_metrics_and_not_which_store_is_away(
    client: FlaskClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert "neverdrop" not in answer.text
    assert client.get("/readyz", headers=headers).json == {"ready": True}


def test_who_has_it_does(client: FlaskClient) -> None:
    assert "neverdrop_up" in client.get("/metrics", headers=RIGHT).text
    assert client.get("/readyz", headers=RIGHT).json == {"ready": True, "redis": True, "postgres": True}


def test_without_a_token_it_is_closed_in_production_and_open_in_development(
    env: Callable[..., Settings],
) -> None:
    for mode, status in (("production", 401), ("development", 200)):
        env(**PRODUCTION | {"NEVERDROP_ENV": mode, "METRICS_TOKEN": ""})
        for headers in ({}, {"Authorization": "Bearer "}):
            assert create_app().test_client().get("/metrics", headers=headers).status_code == status
