"""A file that a user sent: read, saved or stored, whole and with the right checksum, or an error that says why."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.graph import client, media
from app.handlers import Context, Event
from app.handlers.prefetch import LANE, prefetch
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, make_core
from tests.helpers.graph import GraphStandIn, graph_stand_in

CONTENT = b"\x89PNG" + b"x" * 300_000

Configure = Callable[..., Settings]


@pytest.fixture
def graph(env: Configure, tmp_path: Path) -> Iterator[GraphStandIn]:
    with graph_stand_in() as found:
        env(WHATSAPP_API_URL=found.url, WHATSAPP_ACCESS_TOKEN="token", MEDIA_STORE=str(tmp_path / "media"))
        media.downloader.cache_clear()
        client._reset()
        yield found
        media.downloader().close()
        media.downloader.cache_clear()


@pytest.fixture
def core(graph: GraphStandIn, monkeypatch: pytest.MonkeyPatch) -> Core:
    return make_core(monkeypatch)


def picture(graph: GraphStandIn, sender: int = 1) -> f.Json:
    id_ = graph.add_media(CONTENT, "image/png")
    announced = graph.announced(id_)
    image = {"id": id_, "mime_type": "image/png", "sha256": announced, "caption": "me"}
    message = f.message("image", number=id_, sender=sender, image=image, timestamp=str(int(time.time())))
    return f.body(f.messages(message))


def handle(core: Core, body: f.Json, function: Callable[[Event, Context], Any]) -> None:
    core.registry.handlers.clear()
    core.on("message", None, function)
    core.ingest(body)
    core.run()


def error(core: Core) -> str:
    return str(core.value("SELECT error FROM event_jobs ORDER BY id DESC LIMIT 1"))


def test_a_picture_is_read_and_saved(core: Core, graph: GraphStandIn, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def handler(_event: Event, ctx: Context) -> None:
        found = ctx.media()
        seen.append(found.read())
        found.save(tmp_path / "picture")
        seen.append(f"{found.type} {found.mime_type} {found.caption}".encode())

    handle(core, picture(graph), handler)
    assert seen == [CONTENT, b"image image/png me"]
    assert (tmp_path / "picture").read_bytes() == CONTENT


def test_what_is_stored_is_read_again_without_meta(core: Core, graph: GraphStandIn) -> None:
    seen: list[Any] = []

    def handler(_event: Event, ctx: Context) -> None:
        location = ctx.media().store()
        graph.set_faults(media_expired=True)
        seen.append(ctx.media().read())
        seen.append(Path(location).read_bytes())
        assert ctx.media().store() == location

    handle(core, picture(graph), handler)
    assert seen == [CONTENT, CONTENT]


def test_what_is_prefetched_is_read_when_meta_has_it_no_more(core: Core, graph: GraphStandIn) -> None:
    seen: list[Any] = []
    core.on("message", None, lambda _event, ctx: seen.append(ctx.media().read()))
    core.on("message", "image", prefetch, lane=LANE)
    core.ingest(picture(graph))
    for lane in core.rows("SELECT lane FROM jobs ORDER BY lane_name_id DESC"):  # the prefetch first
        core.step(lane.lane)
        graph.set_faults(media_expired=True)
    assert seen == [CONTENT]


def test_a_message_without_a_file_has_none(core: Core, graph: GraphStandIn) -> None:
    seen: list[Any] = []
    handle(core, f.body(f.messages(f.text_message())), lambda _event, ctx: seen.append(ctx.media()))
    assert seen == [None]


def test_what_meta_has_no_more_is_a_dead_letter_that_says_so(core: Core, graph: GraphStandIn) -> None:
    graph.set_faults(media_expired=True)
    handle(core, picture(graph), lambda _event, ctx: ctx.media().read())
    assert core.value("SELECT state FROM event_jobs") == "dead"
    assert error(core).startswith("MediaGone: ")


def test_another_content_than_was_announced_is_not_stored(
    core: Core, graph: GraphStandIn, tmp_path: Path
) -> None:
    graph.set_faults(media_broken=True)
    handle(core, picture(graph), lambda _event, ctx: ctx.media().store())
    assert error(core).startswith("WrongChecksum: ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_too_large_is_given_up_and_not_stored(
    core: Core, graph: GraphStandIn, env: Configure, tmp_path: Path
) -> None:
    env(MEDIA_MAX_BYTES="1000")
    handle(core, picture(graph), lambda _event, ctx: ctx.media().store())
    assert error(core).startswith("MediaTooLarge: ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_refused_token_and_a_meta_that_is_away_are_tried_again(
    core: Core, graph: GraphStandIn, env: Configure
) -> None:
    graph.set_faults(token_expired=True)
    handle(core, picture(graph), lambda _event, ctx: ctx.media().read())
    assert (core.value("SELECT state FROM event_jobs"), error(core).partition(":")[0]) == (
        "pending",
        "RetryAfter",
    )
    env(WHATSAPP_API_URL="http://127.0.0.1:9")
    handle(core, picture(graph, sender=2), lambda _event, ctx: ctx.media().read())
    assert error(core).partition(":")[0] == httpx.ConnectError.__name__


def test_without_a_store_the_error_says_what_to_set(core: Core, graph: GraphStandIn, env: Configure) -> None:
    env(MEDIA_STORE="")
    handle(core, picture(graph), lambda _event, ctx: ctx.media().store())
    assert "MEDIA_STORE is not set" in error(core)
