"""How the app, its account and its number are set up at the stand-in, and what can be wrong with that. Pure: no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.dev.graph.bodies import ACCOUNT, DISPLAY_PHONE

NUMBER = "106540352242922"  # the business's number in the chat page
APP = "670843887433847"
OTHER_APP = "111111111111111"
ELSEWHERE = "https://elsewhere.example/webhook"


@dataclass(frozen=True, slots=True)
class AppSetup:
    """What Meta keeps of an app; a healthy one unless it says otherwise."""

    secret: str
    callback_url: str
    fields: tuple[str, ...] = ("messages",)
    subscribed: tuple[str, ...] = (APP,)  # apps that get the account's webhooks
    override: str = ""  # of the account, for our app
    number_override: str = ""
    live: bool = True
    quality: str = "GREEN"
    status: str = "CONNECTED"
    throughput: str = "STANDARD"
    expires_at: int = 0
    valid: bool = True
    scopes: tuple[str, ...] = ("whatsapp_business_management", "whatsapp_business_messaging")

    def debug_token(self) -> dict[str, Any]:
        """Return what Meta says of a token."""
        data: dict[str, Any] = {
            "app_id": APP, "application": "Stand-in", "type": "SYSTEM_USER", "is_valid": self.valid,
            "expires_at": self.expires_at, "data_access_expires_at": 0, "scopes": list(self.scopes),
            "granular_scopes": [{"scope": scope, "target_ids": [ACCOUNT]} for scope in self.scopes],
        }  # fmt: skip
        if not self.valid:
            data["error"] = {"code": 190, "message": "Error validating access token: Session has expired"}
        return data

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return the app's subscriptions, as an app token sees them."""
        if not self.callback_url:
            return []
        fields = [{"name": name, "version": "v26.0"} for name in self.fields]
        return [
            {
                "object": "whatsapp_business_account",
                "callback_url": self.callback_url,
                "active": True,
                "fields": fields,
            }
        ]

    def subscribed_apps(self) -> list[dict[str, Any]]:
        """Return the apps that get the account's webhooks."""
        rows = []
        for app in self.subscribed:
            row: dict[str, Any] = {
                "whatsapp_business_api_data": {"id": app, "name": f"App {app[:3]}", "link": ""}
            }
            if app == APP and self.override:
                row["override_callback_uri"] = self.override
            rows.append(row)
        return rows

    def phone_number(self, level: str) -> dict[str, Any]:
        """Return the number, with what limits it."""
        state = "AVAILABLE" if self.live else "BLOCKED"
        app: dict[str, Any] = {"entity_type": "APP", "id": APP, "can_send_message": state}
        if not self.live:
            app["errors"] = [
                {
                    "error_code": 141000,
                    "error_description": "The app is in development mode.",
                    "possible_solution": "Switch it to Live.",
                }
            ]
        webhook = {"application": self.callback_url}
        if self.number_override:
            webhook["phone_number"] = self.number_override
        return {
            "id": NUMBER, "display_phone_number": DISPLAY_PHONE, "quality_rating": self.quality, "status": self.status,
            "throughput": {"level": self.throughput if self.throughput != "STANDARD" else level},
            "platform_type": "CLOUD_API", "webhook_configuration": webhook,
            "health_status": {"can_send_message": state, "entities": [app]},
        }  # fmt: skip


# What people set up wrongly, by the name of the doctor's check
MISCONFIGURATIONS: Mapping[str, Callable[[AppSetup], AppSetup]] = {
    "meta_callback_url": lambda setup: replace(setup, callback_url=""),
    "meta_override": lambda setup: replace(setup, override=ELSEWHERE),
    "meta_fields": lambda setup: replace(setup, fields=("account_update",)),
    "meta_subscribed_app": lambda setup: replace(setup, subscribed=()),
    "meta_other_apps": lambda setup: replace(setup, subscribed=(APP, OTHER_APP)),
    "meta_live": lambda setup: replace(setup, live=False),
    "meta_app_secret": lambda setup: replace(setup, secret="another app's secret"),  # noqa: S106
    "meta_token": lambda setup: replace(setup, valid=False),
    "meta_scopes": lambda setup: replace(setup, scopes=("whatsapp_business_management",)),
    "meta_quality": lambda setup: replace(setup, quality="RED"),
    "meta_number": lambda setup: replace(setup, status="DISCONNECTED"),
    "meta_throughput": lambda setup: replace(setup, throughput="NOT_APPLICABLE"),
}
