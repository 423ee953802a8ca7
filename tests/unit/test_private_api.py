"""What is private of a library and relied on: one table; another version of the library has to be looked at.

When a version changes: read each attribute's source in the new version, run the tests that the table names, then
write the new version here.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Private:
    """An attribute of a library that its documentation does not promise."""

    library: str
    attribute: str  # module:object.attribute
    source: str  # a word of the library's source that shows what we rely on
    used_in: str
    why: str
    test: str  # what fails where it works in another way


VERSIONS = {
    "celery": "5.7",
    "flower": "2.2",
    "httptools": "0.9",
    "kombu": "5.7",
    "redis": "8.1",
    "uvicorn": "0.54",
}

CHANNEL = "app/broker/channel.py"
CHANNEL_TEST = "tests/integration/broker/test_channel.py"
MALFORMED_TEST = "tests/integration/broker/test_malformed_messages.py"
GUARD_TEST = "tests/integration/web/test_http_guard.py"
PRIVATE = (
    Private("kombu", "kombu.transport.redis:QoS._remove_from_indices", "zrem", CHANNEL,
            "a message in quarantine is not given out again", MALFORMED_TEST),
    Private("kombu", "kombu.transport.redis:Channel._get_pool", "connection", CHANNEL,
            "a closed channel says that its connection is lost", CHANNEL_TEST),
    Private("kombu", "kombu.transport.redis:Channel._connparams", "socket_timeout", CHANNEL,
            "a command is tried again once, not ten times", CHANNEL_TEST),
    Private("kombu", "kombu.transport.redis:Channel._create_client", "Client", CHANNEL,
            "one client for each channel instead of one for each command", CHANNEL_TEST),
    Private("kombu", "kombu.transport.redis:Channel._brpop_read", "BRPOP", CHANNEL,
            "replaced: a malformed message ends no consumer", MALFORMED_TEST),
    Private("kombu", "kombu.transport.redis:Channel._deliver_fanout_message", "", CHANNEL,
            "a malformed remote command ends no consumer", MALFORMED_TEST),
    Private("kombu", "kombu.transport.redis:Channel._flush_brpop_reauth", "", CHANNEL,
            "called as kombu's own _brpop_read does", MALFORMED_TEST),
    Private("kombu", "kombu.transport.virtual.base:Transport._deliver", "callback", CHANNEL,
            "hands a message to Celery", MALFORMED_TEST),
    Private("kombu", "kombu.transport.redis:Channel._get", "", "app/broker/envelope.py",
            "messages are built as kombu writes them", "tests/unit/broker/test_envelope.py"),
    Private("celery", "celery.app.amqp:AMQP.as_task_v2", "argsrepr", "app/broker/receive_wakes.lua",
            "a lane is read from a message's argsrepr", "tests/unit/broker/test_envelope.py"),
    Private("celery", "celery.worker.consumer.tasks:Tasks", "", "app/watch/heartbeats.py",
            "heartbeats begin with each connection of the consumer", "tests/integration/watch/test_heartbeats.py"),
    Private("redis", "redis.asyncio.connection:Connection._connect", "_writer", "app/intake/pinned_connection.py",
            "the socket of a connection that redis-py opened", "tests/integration/intake/test_primary_store.py"),
    Private("uvicorn", "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_message_begin", "",
            "app/web/http_guard.py", "limits before a request is complete", GUARD_TEST),
    Private("uvicorn", "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_headers_complete", "cycle",
            "app/web/http_guard.py", "an unanswered request stands in `cycle`, later ones in `pipeline`", GUARD_TEST),
    Private("uvicorn", "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.receive", "transport.is_closing",
            "app/web/http_guard.py", "`_Answers` has all that a request asks of its transport",
            "tests/hostile/test_strict_http.py"),
    Private("flower", "flower.inspector:Inspector._on_update", "response", "app/flower/application.py",
            "what workers answer is kept without secrets", "tests/hostile/test_flower_secrets.py"),
    Private("flower", "flower.views.auth:LoginHandler", "auth_provider", "app/flower/application.py",
            "the class that logs people in passes the gate too", "tests/integration/flower/test_access.py"),
    Private("flower", "flower.app:rewrite_handler", "", "app/flower/application.py",
            "our pages stand below Flower's address", "tests/integration/flower/test_access.py"),
)  # fmt: skip


def resolve(attribute: str) -> object:
    module, _, path = attribute.partition(":")
    value: object = import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("library", VERSIONS)
def test_the_version_is_the_one_that_was_looked_at(library: str) -> None:
    installed = version(library)
    assert installed.startswith(f"{VERSIONS[library]}."), (
        f"{library} {installed}: go through PRIVATE, then VERSIONS"
    )


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: private.attribute)
def test_what_is_relied_on_is_there(private: Private) -> None:
    value = resolve(private.attribute)
    module = import_module(private.attribute.partition(":")[0])
    assert value is not None
    if private.source:
        assert private.source in Path(str(module.__file__)).read_text(encoding="utf-8")


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: private.attribute)
def test_the_table_names_files_that_are_there(private: Private) -> None:
    assert (ROOT / private.used_in).is_file()
    assert (ROOT / private.test).is_file()
    assert private.library in VERSIONS
