"""Runs a scenario once for each point at which a process can die in it, and compares how each run ends."""

from contextlib import ExitStack
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

import pytest

from app.graph import answered_by
from app.handlers import Registry
from app.testing.bot import Bot, Effects, Scenario
from app.testing.meta import Meta
from app.testing.snapshot import Snapshot
from app.testing.team_models import create_tables

if TYPE_CHECKING:
    from app.testing.crash_points import CrashPoints
    from app.testing.pipeline import InlinePipeline
    from app.testing.stores import BotStores

STORES = "neverdrop_stores"  # the fixture


@dataclass(slots=True)
class CrashRuns:
    """The pipelines of one test: the one that it drives, and those of its scenarios."""

    request: pytest.FixtureRequest
    registry: Registry
    tables: bool
    _driven: "tuple[str, InlinePipeline] | None" = None  # the pipeline that the test drives, and its database

    def open_bot(self, stack: ExitStack) -> Bot:
        """Return a bot over a pipeline that nothing kills."""
        from app.testing.crash_points import CrashPoints

        database = self._stores.copy()
        stack.callback(self._stores.drop, database)
        bot, pipeline = self.open_pipeline(database, CrashPoints(), stack)
        self._driven = database, pipeline
        return bot

    def at_every_crash_point(self, scenario: Scenario, effects: Effects | None) -> int:
        """Run the scenario without a death, then with one at each point; return how many points there were."""
        __tracebackhide__ = True
        if self._driven is None:
            return self._compare(scenario, effects, self._stores.template)
        database, pipeline = self._driven
        with pipeline.left():  # nobody may be connected to a database that is copied
            return self._compare(scenario, effects, database)

    def _compare(self, scenario: Scenario, effects: Effects | None, template: str) -> int:
        __tracebackhide__ = True
        from app.testing.crash_points import CrashPoints

        database = self._stores.copy(template)
        try:
            points = CrashPoints()
            runs = _Runs(self, scenario, effects, database)
            expected = runs.run(points)
            for number, point in enumerate(points.passed, 1):
                where = f"{point}, point {number} of {len(points.passed)}"
                try:
                    ended = runs.run(CrashPoints(number))
                except BaseException as error:
                    error.add_note(f"in a run whose process died {where}")
                    raise
                if ended != expected:
                    lines = unified_diff(
                        expected, ended, "without a death", f"died {where}", lineterm="", n=99
                    )
                    raise AssertionError(
                        f"a process that dies {where}, changes what comes of it:\n" + "\n".join(lines)
                    )
            return len(points.passed)
        finally:
            self._stores.drop(database)

    def open_pipeline(
        self, database: str, points: "CrashPoints", stack: ExitStack
    ) -> "tuple[Bot, InlinePipeline]":
        """Return a bot over a pipeline on this database, and the pipeline."""
        from app.stores import engine
        from app.testing.pipeline import open_pipeline

        meta = Meta()
        stores = self._stores
        stack.enter_context(answered_by(meta.play))
        pipeline = stack.enter_context(
            open_pipeline(stores.redis_url, stores.url_of(database), self.registry, meta, points)
        )
        if self.tables:
            with engine().begin() as connection:
                create_tables(connection, self.registry)
        return Bot(pipeline, meta, self.at_every_crash_point), pipeline

    @property
    def _stores(self) -> "BotStores":
        stores: BotStores = self.request.getfixturevalue(STORES)
        return stores


class _Runs:
    """Runs of one scenario, each from what the database holds before the first."""

    def __init__(self, owner: CrashRuns, scenario: Scenario, effects: Effects | None, database: str) -> None:
        self._owner = owner
        self._scenario = scenario
        self._effects = effects
        self._database = database
        self._snapshot: Snapshot | None = None

    def run(self, points: "CrashPoints") -> list[str]:
        """Run the scenario; return how it ended, in lines."""
        from app.stores import engine
        from app.testing.ended_run import mark_events, outcome

        with ExitStack() as stack:
            bot, _ = self._owner.open_pipeline(self._database, points, stack)
            if self._snapshot is None:
                mark_events()
                self._snapshot = Snapshot(engine())
            else:
                self._snapshot.restore(engine())
            points.begin()
            self._scenario(bot)
            bot.depth.settle()
            points.end()
            return outcome(bot, self._effects)
