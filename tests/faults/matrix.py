"""The fault matrix: every step of every conversation, struck by every fault, on every family of printers.

A cell is one operation on a file system over real sockets, with one fault at one step of it. Whatever happens: it ends
in time, done or with an errno that tells the truth; under every name on the printer's disk stands the old content or
the new one; nothing of ours is left lying there; and the same file system works again.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bambufs import simulator
from tests.faults.world import BOUND, P1S, VSFTPD, X1C, World, open_world
from tests.support.faultproxy import Fault

OLD, NEW = b"old content " * 1000, b"the new content " * 16000
TIME = 1_700_000_000
AWAY = {errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EBUSY}
DONE, NOT_ASKED = "done", "-"
FAMILIES = (X1C, P1S, VSFTPD)


class Step(NamedTuple):
    """A moment in an operation: before ``verb`` is carried out, before its reply, or after so many bytes of data."""

    operation: str
    verb: str
    moment: str | int

    def __str__(self) -> str:
        when = f"after {self.moment} bytes" if isinstance(self.moment, int) else f"before its {self.moment}"
        return f"{self.operation}: {self.verb} {when}" if self.moment != "command" else f"{self.operation}: {self.verb}"


COMMAND, REPLY = "command", "reply"
STEPS = [
    *(Step("log in", verb, moment) for verb in ("USER", "PASS", "TYPE") for moment in (COMMAND, REPLY)),
    *(Step("list", verb, REPLY) for verb in ("CWD", "LIST")),
    Step("list", "LIST", COMMAND),
    *(Step("list", "LIST", moment) for moment in (0, 10)),
    *(Step("store", "STOR", moment) for moment in (COMMAND, 0, 100_000, REPLY)),
    *(Step("store", verb, moment) for verb in ("SIZE", "MDTM", "RNFR", "RNTO") for moment in (COMMAND, REPLY)),
    *(Step("replace", "STOR", moment) for moment in (100_000, REPLY)),
    *(Step("replace", verb, moment) for verb in ("RNTO", "DELE") for moment in (COMMAND, REPLY)),
    *(Step("read", "RETR", moment) for moment in (COMMAND, 0, 5_000, REPLY)),
    *(
        Step(operation, verb, moment)
        for operation, verb in (
            ("rename", "RNTO"),
            ("delete", "DELE"),
            ("make folder", "MKD"),
            ("remove folder", "RMD"),
            ("set time", "MDTM"),
        )
        for moment in (COMMAND, REPLY)
    ),
]


class Blow(NamedTuple):
    """A fault, which connections it hits, and after how many seconds it is over (None: when the operation is)."""

    fault: Fault
    hits_control: bool = True
    seconds: float | None = None


BLOWS = {
    "reset": Blow(Fault.RESET),
    "half-close": Blow(Fault.HALF_CLOSE),
    "black hole": Blow(Fault.BLACK_HOLE),
    "stall": Blow(Fault.STALL),
    "short stall": Blow(Fault.STALL, seconds=0.3),
    "data reset": Blow(Fault.RESET, hits_control=False),
    "data half-close": Blow(Fault.HALF_CLOSE, hits_control=False),
    "data FIN": Blow(Fault.FIN_TO_PRINTER, hits_control=False),
    "data stall": Blow(Fault.STALL, hits_control=False),
}


def steps_for(family: str, blow: Blow) -> list[Step]:
    """The steps at which that can happen: data connections are there during transfers only."""
    steps = STEPS
    if not blow.hits_control:
        steps = [step for step in steps if isinstance(step.moment, int)]
    if family == VSFTPD:  # it has no gates: the moment is seen by its replies and by the bytes that come through
        steps = [step for step in steps if step.moment == REPLY or (isinstance(step.moment, int) and step.moment)]
    return steps


@dataclass(frozen=True)
class Result:
    """What became of a cell: ``outcome`` is "done", an errno's name or "-" (the printer is not asked that there)."""

    step: str
    outcome: str
    seconds: float
    trouble: str = ""


# --- the operations, and what must hold afterwards ----------------------------------------------------


def _list(world: World) -> None:
    names = [name for name, _ in world.files.readdir("/d")]
    assert names == ["empty", "old.3mf", "other.3mf"], names


def _read(world: World) -> None:
    assert world.read("/d/old.3mf") == OLD


OPERATIONS: dict[str, Callable[[World], object]] = {
    "log in": _list,
    "list": _list,
    "store": lambda world: world.write("/d/new.3mf", NEW, TIME),
    "replace": lambda world: world.write("/d/old.3mf", NEW, TIME),
    "read": _read,
    "rename": lambda world: world.files.rename("/d/old.3mf", "/d/moved.3mf"),
    "delete": lambda world: world.files.unlink("/d/old.3mf"),
    "make folder": lambda world: world.files.mkdir("/d/made"),
    "remove folder": lambda world: world.files.rmdir("/d/empty"),
    "set time": lambda world: world.files.utimens("/d/old.3mf", TIME),
}

_BEFORE: dict[str, bytes | None] = {"/d": None, "/d/old.3mf": OLD, "/d/other.3mf": OLD[:100], "/d/empty": None}


def _after(operation: str) -> dict[str, bytes | None]:
    """What is on the disk when the operation was done."""
    disk = dict(_BEFORE)
    if operation == "store":
        disk["/d/new.3mf"] = NEW
    elif operation == "replace":
        disk["/d/old.3mf"] = NEW
    elif operation in ("rename", "delete"):
        content = disk.pop("/d/old.3mf")
        if operation == "rename":
            disk["/d/moved.3mf"] = content
    elif operation == "make folder":
        disk["/d/made"] = None
    elif operation == "remove folder":
        del disk["/d/empty"]
    return disk


# --- one cell ---------------------------------------------------------------------------------------


def run_cell(family: str, step: Step, blow: Blow, folder: Path) -> Result:
    """Strike ``step`` with ``blow``; what went wrong, if anything, is in the result."""
    began = time.monotonic()
    outcome, trouble = NOT_ASKED, ""
    try:
        with open_world(family, folder) as world:
            _prepare(world, step)
            outcome, taken = _struck(world, step, blow)
            if taken > BOUND:
                trouble = f"took {taken:.1f} s"
            _check(world, step, outcome)
    except AssertionError as failure:
        trouble = str(failure) or repr(failure)
    return Result(str(step), outcome, time.monotonic() - began, trouble)


def _prepare(world: World, step: Step) -> None:
    """Fill the card, and let the file system see it: the listings are there, and a session."""
    for path, content in _BEFORE.items():
        place = world.root / path[1:]
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
    for folder in ("/d", "/d/empty"):
        world.until_seen(folder)
    if step.operation == "log in":
        world.card.pool.forget_idle()
    if step.operation in ("log in", "list"):
        world.files.forget()
        world.files.getattr("/")


def _struck(world: World, step: Step, blow: Blow) -> tuple[str, float]:
    """Do the operation, and strike at the step; returns the outcome and the seconds it took."""
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        strike = _armed(world, step, blow, stack)
        began = time.monotonic()
        job = thread.submit(OPERATIONS[step.operation], world)
        is_struck = strike(job.done)
        if is_struck and blow.seconds is not None:
            threading.Event().wait(blow.seconds)
            world.proxy.mend()
        try:
            job.result(BOUND * 2)
            outcome = DONE
        except TookTooLong:
            world.proxy.mend()
            raise AssertionError(f"had not ended after {BOUND * 2:.0f} s") from None
        except OSError as error:
            if error.errno not in AWAY:
                raise AssertionError(f"ended with {error!r}") from error
            outcome = errno.errorcode[error.errno]
        taken = time.monotonic() - began
    world.proxy.mend()
    return (outcome if is_struck else NOT_ASKED), taken


def _armed(world: World, step: Step, blow: Blow, stack: ExitStack) -> Callable[[Callable[[], bool]], bool]:
    """Get ready to strike; returns what waits for the moment, and whether it came before the operation was over."""
    if isinstance(world.server, simulator.Printer):
        return _armed_gate(world, step, blow, stack)
    struck = _armed_proxy(world, step, blow)
    return lambda is_over: _await(struck, is_over)


def _armed_gate(world: World, step: Step, blow: Blow, stack: ExitStack) -> Callable[[Callable[[], bool]], bool]:
    printer = world.printer
    if isinstance(step.moment, int):
        gate = stack.enter_context(printer.hold(step.verb, after_bytes=step.moment))
    else:
        gate = stack.enter_context(printer.hold(step.verb, before="command" if step.moment == COMMAND else "reply"))

    def strike(is_over: Callable[[], bool]) -> bool:
        if not _await(gate.reached, is_over):
            return False
        world.proxy.strike(blow.fault, control=blow.hits_control)
        gate.release()
        return True

    return strike


def _armed_proxy(world: World, step: Step, blow: Blow) -> threading.Event:
    server = world.vsftpd
    if isinstance(step.moment, int):
        return world.proxy.strike_after(
            step.moment, blow.fault, data=True, to_printer=step.verb == "STOR", control=blow.hits_control
        )
    said = len(server.commands(step.verb))
    return world.proxy.strike_when(lambda: len(server.commands(step.verb)) > said, blow.fault)


def _await(event: threading.Event, is_over: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BOUND
    while not event.wait(0.01):
        if is_over() or time.monotonic() > deadline:
            return event.is_set()
    return True


def _check(world: World, step: Step, outcome: str) -> None:
    """Nothing is lost, nothing is half, nothing is left lying about, and all works again."""
    world.until_it_works()
    world.until_tidy()
    disk = world.disk()
    before, after = _BEFORE, _after(step.operation)
    good = [after] if outcome in (DONE, NOT_ASKED) else [before, after]
    assert disk in good, f"{outcome}, and on the disk: { {path: c and len(c) for path, c in disk.items()} }"
    world.until_it_agrees()
    world.until_sessions_are_back()


def run_column(family: str, blow: str, folder: Path, *, at_once: int = 6) -> list[Result]:
    """All cells of one fault on one family, ``at_once`` of them at a time: most of the time they wait."""
    steps = steps_for(family, BLOWS[blow])
    with ThreadPoolExecutor(at_once) as threads:
        jobs = [
            threads.submit(run_cell, family, step, BLOWS[blow], folder / f"cell{number}")
            for number, step in enumerate(steps)
        ]
        return [job.result() for job in jobs]
