"""A person takes a conversation over for a while, and sees who is silent, until when and why."""

import pytest

from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.cli.support import lines, run

pytestmark = pytest.mark.core(messages="noted", of_process=True)


def test_a_pause_with_an_end_and_a_reason_is_listed(core: Core) -> None:
    core.ingest(text_body("one"))
    paused = run("pause", f.phone(1), "--for", "8h", "--why", "a complaint", "--skip", "--who", "ada")
    assert paused.exit_code == 0, paused.output
    assert "until" in paused.output
    assert "skipped" in paused.output
    (shown,) = lines(run("paused", "--json"))
    assert (shown["paused_by"], shown["paused_why"], shown["skips"]) == ("ada", "a complaint", True)
    assert f.phone(1) not in shown["key"]
    assert "a complaint" in run("paused").output
    assert "paused for as long already" in run("pause", f.phone(1), "--for", "1h").output
    assert run("resume", f.phone(1)).exit_code == 0
    assert "no conversation is paused" in run("paused").output


def test_what_is_no_time_is_refused(core: Core) -> None:
    core.ingest(text_body("one"))
    refused = run("pause", f.phone(1), "--for", "soon")
    assert refused.exit_code == 2
    assert "must be a time like 30m, 12h or 2d" in refused.output


def test_whom_a_reason_quotes_is_masked(core: Core) -> None:
    core.ingest(text_body("one"))
    run("pause", f.phone(1), "--why", f"{f.phone(1)} asked")
    for listed in (run("paused"), run("paused", "--json"), run("trace", str(core.event("one").id))):
        assert "asked" in listed.output
        assert f.phone(1) not in listed.output
    assert f.phone(1) in run("paused", "--reveal").output
