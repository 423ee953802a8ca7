"""A dialog of three questions that survives restarts: ``HANDLERS=examples.dialog make run``.

Write ``order``. What was answered so far is kept in ``ctx.state``, and which question is open by ``ctx.expect``; both
are committed with the answer to each message. So workers may die, and releases come, between any two of them.
"""

from datetime import timedelta

from app.handlers import Context, Event, on_answer, on_message, on_timeout

PATIENCE = timedelta(hours=1)
SIZES = ("Small", "Medium", "Large")


@on_message("text")
def begin(event: Event, ctx: Context) -> None:
    """Begin an order; everything else is answered by how to begin one."""
    if (event.text or "").strip().lower() != "order":
        ctx.reply("Write “order” to order a pizza.")
        return
    ctx.state = {}
    ask_size(ctx)


def ask_size(ctx: Context) -> None:
    ctx.reply("Which size?", buttons=SIZES)
    ctx.expect("order.size", timeout=PATIENCE)


@on_answer("order.size")
def size(event: Event, ctx: Context) -> None:
    """Keep the size, whether it was tapped or typed; ask again for what is none."""
    said = answer_of(event).capitalize()
    if said not in SIZES:
        ask_size(ctx)
        return
    ctx.state["size"] = said
    ctx.reply("Where to?")
    ctx.expect("order.address", timeout=PATIENCE)


@on_answer("order.address", "text")
def address(event: Event, ctx: Context) -> None:
    """Keep the address. A picture is no answer: it goes to its own handler, and the question stays open."""
    ctx.state["address"] = event.text
    ctx.reply(f"{ctx.state['size']} to {event.text}. Shall we bake it?", buttons=["Yes", "No"])
    ctx.expect("order.sure", timeout=PATIENCE)


@on_answer("order.sure")
def sure(event: Event, ctx: Context) -> None:
    """Take the order, or drop it: nothing is expected and nothing kept any more."""
    order, ctx.state = ctx.state, None
    taken = answer_of(event).lower() == "yes"
    ctx.reply(
        f"It is on its way to {order['address']}." if taken else "Then not. Write “order” to begin anew."
    )


@on_timeout("order.size")
@on_timeout("order.address")
@on_timeout("order.sure")
def given_up(_event: Event, ctx: Context) -> None:
    """Drop an order that was left half done."""
    ctx.state = None
    ctx.reply("Your order was not finished. Write “order” to begin anew.")


def answer_of(event: Event) -> str:
    """Return what was typed, or the title of the button that was tapped."""
    tapped = event.item.get("interactive", {}).get("button_reply", {})
    return str(event.text or tapped.get("title") or "").strip()
