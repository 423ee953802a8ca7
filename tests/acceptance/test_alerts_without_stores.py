"""Alerts of the real processes while beat, Redis, or both stores are gone: each is sent, and cleared afterwards."""

from collections.abc import Callable, Iterable

from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import message
from tests.helpers.receiver import Receiver, receiver

WRONG = "sha256=" + "0" * 64


def await_alerts(pipeline: Pipeline, webhook: Receiver, status: str, names: Iterable[str]) -> None:
    def missing() -> set[str]:
        sent = {each["alert"] for each in webhook.messages if each["status"] == status}
        return set(names) - sent

    pipeline.stack.wait_until(lambda: not missing(), what=f"{', '.join(names)} {status}")


def test_each_alert_is_sent_and_cleared_whatever_is_gone(start_pipeline: Callable[..., Pipeline]) -> None:
    with receiver() as webhook:
        pipeline = start_pipeline(ALERT_WEBHOOK_URL=webhook.url, ALERT_NO_WORKER_SECONDS="5")
        stack = pipeline.stack
        for _ in range(10):
            assert stack.post_signed_as(b"{}", WRONG).status_code == 401
        stack.stop("beat")
        await_alerts(pipeline, webhook, "raised", ["signatures_refused", "no_beat"])

        stack.start("beat")
        stack.stop("valkey")
        sent = [message(), message()]
        pipeline.deliver(sent)
        await_alerts(pipeline, webhook, "raised", ["redis_down", "fallback_store"])
        stack.stop("postgres")
        await_alerts(pipeline, webhook, "raised", ["database_down"])

        stack.start("postgres")
        stack.start("valkey")
        pipeline.wait_until_done(sent)
        gone = ["no_beat", "redis_down", "fallback_store", "database_down"]
        await_alerts(pipeline, webhook, "cleared", gone)
        for name in ("web", "worker1", "ingest1"):
            stack.stop(name)
        assert '"alerts.look_failed"' not in (stack.path / "stack.log").read_text(encoding="utf-8")
