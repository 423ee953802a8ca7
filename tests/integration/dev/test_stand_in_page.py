"""What is typed into the stand-in's page is signed as if by Meta: no other site may type there."""

from collections.abc import Iterator

import httpx
import pytest

from tests.helpers.graph import GraphStandIn, graph_stand_in

TEXT = {"user": "15550001", "text": "hello"}


@pytest.fixture(scope="module")
def graph() -> Iterator[GraphStandIn]:
    with graph_stand_in() as found:
        yield found


def post(graph: GraphStandIn, path: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{graph.url}{path}", json=TEXT, headers=headers, trust_env=False)


@pytest.mark.parametrize("path", ["/chat/send", "/chat/faults"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"},
                {"Host": "evil.example", "Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}],
    ids=["another origin", "no origin that has a name", "another name for this address", "both", "another port"],
)  # fmt: skip
def test_another_site_cannot_type_into_the_page(
    graph: GraphStandIn, path: str, headers: dict[str, str]
) -> None:
    assert post(graph, path, headers).status_code == 403


def test_the_page_itself_can(graph: GraphStandIn) -> None:
    assert post(graph, "/chat/send", {"Origin": graph.url}).status_code == 200
    local = graph.url.replace("127.0.0.1", "localhost")
    assert (
        post(graph, "/chat/send", {"Host": local.removeprefix("http://"), "Origin": local}).status_code == 200
    )


def test_another_site_cannot_read_what_was_said(graph: GraphStandIn) -> None:
    answer = httpx.get(f"{graph.url}/chat/messages", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 403


def test_no_file_of_a_user_is_a_page(graph: GraphStandIn) -> None:
    id_ = graph.add_media(b"<script>", "text/html")
    answer = httpx.get(f"{graph.url}/media/{id_}", headers={"Authorization": "Bearer x"}, trust_env=False)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
