"""Which events reach a handler: each thing that happened once, and no repeat."""

from tests.helpers import factories as f
from tests.helpers.core import Core


def payment_body(state: str = "captured", *, at: int = f.NOW, **payment: f.Json) -> f.Json:
    return f.body(f.statuses(f.payment_status(state, at=at, **payment)))


def test_each_refund_of_a_payment_runs_its_handler(core: Core) -> None:
    core.on("payment_status")
    pending, completed = f.refund(1, "pending", f.NOW + 1), f.refund(1, "completed", f.NOW + 2)
    bodies = [
        payment_body(transaction=f.transaction()),
        payment_body(at=f.NOW + 1, transaction=f.transaction(pending)),
        payment_body(at=f.NOW + 2, transaction=f.transaction(completed)),
        payment_body(at=f.NOW + 3, transaction=f.transaction(completed, f.refund(2, "completed", f.NOW + 3))),
    ]
    for body in [*bodies, *bodies]:  # Meta repeats each
        core.ingest(body)
    core.run()
    assert core.seen == ["captured"] * len(bodies)


def test_a_payment_that_failed_twice_before_it_succeeded_is_three_events(core: Core) -> None:
    core.on("payment_status")
    for nth, state in enumerate(("failed", "failed", "captured")):
        core.ingest(payment_body(state, at=f.NOW + nth))
    core.run()
    assert core.seen == ["failed", "failed", "captured"]


def test_a_failed_payment_is_not_for_the_handler_of_failed_messages(core: Core) -> None:
    core.on("status", "failed", lambda event, _ctx: core.seen.append(f"message {event.item['id']}"))
    core.on("payment_status", "failed", lambda event, _ctx: core.seen.append(f"payment {event.item['id']}"))
    message, payment = f.status("failed", number=1), f.payment_status("failed", number=2, at=f.NOW + 1)
    core.ingest(f.body(f.statuses(message, payment)))
    core.run()
    assert core.seen == [f"message {f.wamid(1)}", f"payment {f.wamid(2)}"]
