"""Random operations on a file system, each struck by a random fault, against a dict of what must be there.

After every operation that succeeded the printer's disk holds what it did; after one that failed what was before or what
would have been after, and nothing else. At the end the model, the file system and the disk agree.
"""

from __future__ import annotations

import errno
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.faults.world import BOUND, World, open_world
from tests.support.faultproxy import Fault

AWAY = {errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EBUSY}
STEPS = 25
"""Operations on one printer."""

Disk = dict[str, bytes | None]


class Trouble(NamedTuple):
    """A fault: ``kind`` is one of the proxy's, or a knob of the printer; it comes after so many bytes."""

    kind: Fault | str
    after: int
    is_data: bool
    to_printer: bool


KNOBS = ("sessions dropped", "link drops", "download ends early", "data port refused", "confirmation late", "reboot")
_COUNTS = (0, 1, 30, 300, 3_000, 40_000)
troubles = st.one_of(
    st.none(),
    st.builds(Trouble, st.sampled_from([*Fault]), st.sampled_from(_COUNTS), st.booleans(), st.booleans()),
    st.builds(Trouble, st.sampled_from(KNOBS), st.sampled_from(_COUNTS), st.just(value=True), st.booleans()),
)
names = st.sampled_from(["/a.3mf", "/b.3mf", "/d/a.3mf", "/d/c.gcode", "/d/long name.mp4"])
folders = st.sampled_from(["/e", "/d/f"])
_times = st.sampled_from((1, 99, 20_000))
contents = st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=8), _times)


@dataclass
class Tally:
    """What was tried, over all printers of a run."""

    operations: int = 0
    failed: int = 0
    faults: int = 0

    def __str__(self) -> str:
        return f"{self.faults} faults struck {self.operations} operations, of which {self.failed} failed; 0 losses"


def machine_for(family: str, tally: Tally) -> type[RuleBasedStateMachine]:
    """The state machine on printers of that family, which counts in ``tally``."""

    class Machine(_Machine):
        def __init__(self) -> None:
            super().__init__(family, tally)

    return Machine


def run(family: str, number: int, faults: int, seconds: float) -> Tally:
    """Run printers until so many ``faults`` have struck, or the time is over; ``number`` is the seed of the first."""
    tally, deadline = Tally(), time.monotonic() + seconds
    while tally.faults < faults and time.monotonic() < deadline:
        machine = machine_for(family, tally)
        sys.stdout.write(f"seed {number}\n")
        run_state_machine_as_test(
            seed(number)(machine),
            settings=settings(
                max_examples=3,  # the first of which is always empty
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
        number += 1
    return tally


class _Machine(RuleBasedStateMachine):
    def __init__(self, family: str, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.world = self._stack.enter_context(open_world(family, folder))
        self.model: Disk = {}
        self.world.files.mkdir("/d")
        self.model["/d"] = None

    # --- operations -------------------------------------------------------------------------------

    @rule(path=names, content=contents, trouble=troubles)
    def store(self, path: str, content: bytes, trouble: Trouble | None) -> None:
        self._change(f"store {path}", lambda: self.world.write(path, content), {**self.model, path: content}, trouble)

    @rule(path=names, more=contents, trouble=troubles)
    def append(self, path: str, more: bytes, trouble: Trouble | None) -> None:
        old = self.model.get(path)
        if old is not None:
            after = {**self.model, path: old + more}
            self._change(f"append {path}", lambda: self.world.append(path, more, len(old)), after, trouble)

    @rule(path=names, trouble=troubles)
    def delete(self, path: str, trouble: Trouble | None) -> None:
        if path in self.model:
            after = {name: content for name, content in self.model.items() if name != path}
            self._change(f"delete {path}", lambda: self.world.files.unlink(path), after, trouble)

    @rule(old=names, new=names, trouble=troubles)
    def rename(self, old: str, new: str, trouble: Trouble | None) -> None:
        if old in self.model and old != new:
            after = {name: content for name, content in self.model.items() if name != old} | {new: self.model[old]}
            self._change(f"rename {old} {new}", lambda: self.world.files.rename(old, new), after, trouble)

    @rule(path=folders, trouble=troubles)
    def make_or_remove_folder(self, path: str, trouble: Trouble | None) -> None:
        if path in self.model:
            after = {name: content for name, content in self.model.items() if name != path}
            self._change(f"rmdir {path}", lambda: self.world.files.rmdir(path), after, trouble)
        else:
            self._change(f"mkdir {path}", lambda: self.world.files.mkdir(path), {**self.model, path: None}, trouble)

    @rule(path=names, trouble=troubles)
    def read(self, path: str, trouble: Trouble | None) -> None:
        def look() -> None:
            self.world.files.forget()  # so that the printer is asked
            assert self.world.read(path) == self.model[path]

        if path in self.model:
            self._change(f"read {path}", look, self.model, trouble)

    @rule(folder=st.sampled_from(["/", "/d"]), trouble=troubles)
    def list(self, folder: str, trouble: Trouble | None) -> None:
        def look() -> None:
            self.world.files.forget()
            shown = {f"{folder.rstrip('/')}/{name}" for name, _ in self.world.files.readdir(folder)}
            assert shown == {path for path in self.model if (path.rpartition("/")[0] or "/") == folder}

        self._change(f"list {folder}", look, self.model, trouble)

    # --- what must hold ---------------------------------------------------------------------------

    def _change(self, what: str, operation: Callable[[], object], after: Disk, trouble: Trouble | None) -> None:
        """Do ``operation`` with ``trouble`` on its way; the disk then holds the model, or ``after``."""
        before, self._tally.operations = self.model, self._tally.operations + 1
        failure, taken = self._troubled(operation, trouble)
        assert taken < BOUND, f"{what} took {taken:.1f} s"
        if failure is None:
            self.model = after
            assert self._on_disk() in (after,), self._differences(what, after)
            return
        assert failure.errno in AWAY, f"{what} ended with {failure!r}"
        self._tally.failed += 1
        self.world.until_it_works()
        self.world.until_tidy()
        disk = self.world.disk()
        assert disk in (before, after), f"{what} failed with {failure}: {self._differences(what, after)}"
        self.model = disk
        self.world.until_it_agrees()

    def _troubled(self, operation: Callable[[], object], trouble: Trouble | None) -> tuple[OSError | None, float]:
        struck = self.world.proxy.strikes
        with ExitStack() as stack:
            if trouble is not None:
                _arm(self.world, trouble, stack)
            began = time.monotonic()
            try:
                operation()
                failure = None
            except OSError as error:
                failure = error
            taken = time.monotonic() - began
        self.world.proxy.mend()
        by_knob = trouble is not None and not isinstance(trouble.kind, Fault)
        self._tally.faults += self.world.proxy.strikes - struck + by_knob
        return failure, taken

    def _on_disk(self) -> Disk:
        """What the disk holds apart from what is being tidied up."""
        return {path: content for path, content in self.world.disk().items() if "/." not in path}

    def _differences(self, what: str, wanted: Disk) -> str:
        disk = self._on_disk()
        paths = {path for path in (*disk, *wanted) if disk.get(path, b"-") != wanted.get(path, b"-")}
        return f"after {what} these differ: " + ", ".join(
            f"{path}: {_size(disk, path)} instead of {_size(wanted, path)}" for path in sorted(paths)
        )

    def teardown(self) -> None:
        """The model, the file system and the disk agree."""
        try:
            self.world.proxy.mend()
            self.world.until_it_works()
            self.world.until_tidy()
            assert self.world.disk() == self.model, self._differences("everything", self.model)
            self.world.files.forget()
            assert self.world.tree() == self.model
            self.world.until_sessions_are_back()
        finally:
            self._stack.close()


def _size(disk: Disk, path: str) -> str:
    content = disk.get(path, b"-") if path in disk else "nothing"
    return "a folder" if content is None else content if isinstance(content, str) else f"{len(content)} bytes"


def _arm(world: World, trouble: Trouble, stack: ExitStack) -> None:
    """Get ready to strike during the next operation."""
    if isinstance(trouble.kind, Fault):
        world.proxy.strike_after(
            trouble.after,
            trouble.kind,
            data=trouble.is_data,
            to_printer=trouble.to_printer,
            control=not trouble.is_data,
        )
        return
    printer = world.printer
    if trouble.kind == "sessions dropped":
        printer.drop_sessions()
    elif trouble.kind == "reboot":
        printer.switch_off()
        _later(0.2, printer.switch_on, stack)
    else:
        quirk, value = {
            "link drops": ("drop_after", trouble.after + 1),
            "download ends early": ("short_retr", trouble.after + 1),
            "data port refused": ("refuse_data", True),
            "confirmation late": ("late_226", 0.3),
        }[trouble.kind]
        printer.quirks.once(quirk, value)
        stack.callback(printer.quirks.reset, quirk)


def _later(seconds: float, act: Callable[[], object], stack: ExitStack) -> None:
    """``act`` in a while, and at the end of the block at the latest waited for."""
    timer = threading.Timer(seconds, act)
    timer.start()
    stack.callback(timer.join)
