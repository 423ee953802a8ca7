"""``neverdrop up --reload``: handlers that were saved are live in a moment, and what runs meanwhile is the old code.

1. a save is seen: the modules are imported in a process of their own;
2. if that fails, file and line are said, and the old processes go on until the next save;
3. else new processes are started beside the old ones; when they have said that they are alive, the old ones are
   asked to end, which finish what they run.

Nothing is lost at any step: a job waits in its lane, a delivery in the journal, for whichever process takes it.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from app.dev.handler_check import HandlerCheck
from app.dev.processes import Program, Supervisor
from app.dev.stack import programs as pipeline
from app.dev.stack.watched_files import watch
from app.stores import WORKERS, redis

WAIT_SECONDS = 0.2


@dataclass
class Reload:
    """Exchanges the processes that run handlers; ``step`` is to be called a few times a second."""

    supervisor: Supervisor
    modules: tuple[str, ...]
    consumers: list[Program]  # that know handlers, as they were started
    _changed: threading.Event = field(default_factory=threading.Event)
    _check: HandlerCheck = field(default_factory=HandlerCheck)
    _old: list[str] = field(default_factory=list)  # the names of the processes that run
    _new: list[str] = field(default_factory=list)  # of those that are on their way up
    _generation: int = 0
    _said: str | None = None

    def __post_init__(self) -> None:
        self._old = [program.name for program in self.consumers]
        watches = threading.Event()
        arguments = (self.modules, watches, self.supervisor.stopping, self._changed)
        threading.Thread(target=watch, args=arguments, daemon=True).start()
        while not watches.wait(WAIT_SECONDS):  # a save before that would not be seen
            self.supervisor.check()

    def await_good_code(self, fault: str) -> None:
        """Say what is wrong with the modules, and wait until they are saved and can be imported."""
        found: str | None = fault
        while found is not None:
            self._say_once(found)
            while not self._changed.wait(WAIT_SECONDS):
                self.supervisor.check()
            self._changed.clear()
            found = self._fault()
        self._said = None

    def step(self) -> None:
        """Begin what a save asks for, or end what was begun."""
        if self._new:
            self._exchange()
        elif self._changed.is_set():
            self._changed.clear()
            if (fault := self._fault()) is None:
                self._start_new()
            else:
                self._say_once(fault)

    def stop(self) -> None:
        """End the process that waits to be asked."""
        self._check.stop()

    def _fault(self) -> str | None:
        fault = self._check.fault()
        self._check = HandlerCheck()
        return fault

    def _say_once(self, fault: str) -> None:
        if fault != self._said:
            self.supervisor.say(f"{fault}\n  the code from before goes on; save again to try again")
        self._said = fault

    def _start_new(self) -> None:
        self._said = None
        self._generation += 1
        for program in self.consumers:
            new = pipeline.renamed(program, f"{program.name}r{self._generation}")
            self.supervisor.start(new)
            self.supervisor.disable_restart(new.name)
            self._new.append(new.name)

    def _exchange(self) -> None:
        """End the old processes when all new ones are alive; the new ones if one of them has ended."""
        if any(not self.supervisor[name].alive for name in self._new):
            self.supervisor.say(
                "the new code did not start: the lines above say why; the code from before goes on"
            )
            self._retire(self._new)
        elif self._all_beat():
            self._retire(self._old)
            self._old = self._new
            for name in self._old:
                self.supervisor.enable_restart(name)
            self.supervisor.say(f"reloaded {', '.join(self.modules)}")
        else:
            return
        self._new = []

    def _retire(self, names: list[str]) -> None:
        for name in names:
            self.supervisor.retire(name)

    def _all_beat(self) -> bool:
        try:
            members: Any = redis().zrange(WORKERS, 0, -1)
        except RedisError:
            return False
        return set(self._new) <= {member.decode().partition("@")[0] for member in members}
