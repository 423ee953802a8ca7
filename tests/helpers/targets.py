"""Targets for every test, and the events that they are sent."""

from base64 import b64encode
from typing import Any

from app.targets import Target

SECRET = f"whsec_{b64encode(b'a secret of a test target').decode()}"
OLDER_SECRET = f"whsec_{b64encode(b'the secret before that one').decode()}"


def target(url: str = "https://crm.example/hooks", name: str = "crm", **more: Any) -> Target:
    return Target(**({"name": name, "url": url, "secret": SECRET} | more))
