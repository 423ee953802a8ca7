"""Graph's endpoints for what an app is set up with: tokens, subscriptions, accounts and numbers."""

import secrets
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from app.dev.graph.app_setup import APP
from app.dev.graph.bodies import ACCOUNT
from app.dev.graph.handler import StandInHandler


class DebugToken(StandInHandler):
    """GET /debug_token?input_token="""

    def get(self) -> None:
        if self.get_query_argument("input_token", ""):
            setup = self.stand_in.setup
            expired = self.stand_in.faults.token_expired
            self.finish({"data": (replace(setup, valid=False) if expired else setup).debug_token()})
        else:
            self.refuse(400, 100, "(#100) The parameter input_token is required.")


class Subscriptions(StandInHandler):
    """/<app>/subscriptions, by the token of the app itself: GET, and POST, which tries the callback URL first."""

    def _is_app(self, app_id: str) -> bool:
        if (
            self.request.headers.get("Authorization") == f"Bearer {APP}|{self.stand_in.setup.secret}"
            and app_id == APP
        ):
            return True
        self.refuse(
            400, 190, "Error validating application. Cannot get application info due to a system error."
        )
        return False

    def get(self, app_id: str) -> None:
        if self._is_app(app_id):
            self.finish({"data": self.stand_in.setup.subscriptions()})

    async def post(self, app_id: str) -> None:
        if not self._is_app(app_id):
            return
        url = self.get_body_argument("callback_url", "")
        challenge = str(secrets.randbelow(10**9))
        query = {
            "hub.mode": "subscribe", "hub.challenge": challenge,
            "hub.verify_token": self.get_body_argument("verify_token", ""),
        }  # fmt: skip
        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
                answer = await client.get(f"{url}?{urlencode(query)}")
            verified = answer.status_code == 200 and answer.text == challenge
        except (httpx.HTTPError, httpx.InvalidURL):
            verified = False
        if not verified:
            self.refuse(400, 2200, "(#2200) Callback verification failed")
            return
        fields = tuple(filter(None, self.get_body_argument("fields", "").split(",")))
        self.stand_in.setup = replace(self.stand_in.setup, callback_url=url, fields=fields)
        self.finish({"success": True})


class SubscribedApps(StandInHandler):
    """/<account>/subscribed_apps: GET, and POST, which without an override takes the override away."""

    def get(self, account: str) -> None:
        if self.token_is_good():
            self._answer_for(account)

    def _answer_for(self, account: str) -> None:
        if account != ACCOUNT:
            self.refuse(400, 100, "Unsupported get request. Object does not exist")
        else:
            self.finish({"data": self.stand_in.setup.subscribed_apps()})

    def post(self, account: str) -> None:
        if not self.token_is_good():
            return
        if account != ACCOUNT:
            self.refuse(400, 100, "Unsupported post request. Object does not exist")
            return
        setup = self.stand_in.setup
        apps = tuple(dict.fromkeys((*setup.subscribed, APP)))
        override = self.get_body_argument("override_callback_uri", "")
        self.stand_in.setup = replace(setup, subscribed=apps, override=override)
        self.finish({"success": True})


class PhoneNumbers(StandInHandler):
    """GET /<account>/phone_numbers."""

    def get(self, account: str) -> None:
        if not self.token_is_good():
            return
        if account != ACCOUNT:
            self.refuse(400, 100, "Unsupported get request. Object does not exist")
        else:
            self.finish({"data": [self.stand_in.setup.phone_number(self.stand_in.level)]})
