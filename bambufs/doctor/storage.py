"""The printer's storage: listing it, writing and reading back a small file, and what the server can and cannot do."""

from __future__ import annotations

import io
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CardFull, CardRefused, ConnectionDropped, PrinterBusy, PrinterError
from ..printer import paths
from ..printer.entry import Entry
from ..printer.leftovers import Leftovers
from ..printer.listing import parse_list
from ..printer.parts import new_part_path
from ..printer.session import FtpsSession
from .finding import Finding, bad, good, note, skipped

if TYPE_CHECKING:
    from .visit import Visit

_SIZE = 64 * 1024
_CONTROL_PATIENCE = 5.0
_QUARTER, _DAY = 900, 86400
_NO_STORAGE = "is its card (or USB stick) in? Take it out, put it in again, and switch the printer off and on"
_FIREWALL = (
    "files travel over a second connection, to another port each time. Does a firewall or a router stand between? If "
    "not, another program may be using the printer: close it and try again; at last switch the printer off and on"
)
_LINK = "is the printer's Wi-Fi weak? Move it or the router nearer, and try again"


def look(visit: Visit) -> Iterator[Finding]:
    """Everything about files; needs the session in ``visit``."""
    session = visit.session
    if session is None:
        why = "it is in use" if isinstance(visit.trouble, PrinterBusy) else "the printer does not let us in"
        yield skipped("files", f"not looked at, since {why}")
        return
    yield _family(session)
    try:
        session, entries, tries = _listed(visit, session)
    except PrinterError as error:
        yield from _no_listing(error)
        return
    if tries > 1:
        yield note("data connection", "it broke off at first, and came about at the second try", _LINK)
    else:
        yield good("data connection", "a second connection for data comes about, and is encrypted too")
    yield from _storage(entries)
    if not visit.may_write:
        yield skipped("writing", "not tried, as was asked for")
    elif session.family.max_sessions == 1 and _is_printing(visit):
        yield skipped("writing", "not tried, since the printer is printing and should not be disturbed")
    elif entries:
        yield from _trial(visit, session)
    yield from _sessions(visit, session)


def _is_printing(visit: Visit) -> bool:
    """Whether a print runs, as far as the control connection tells that in time."""
    if visit.link is None:
        return False
    visit.link.wait_for(lambda link: link.is_ready or link.has_failed, _CONTROL_PATIENCE)
    return visit.link.state.is_active


def _family(session: FtpsSession) -> Finding:
    family = session.family
    if family.name == "ESP32":
        advice = "while bambufs is connected other programs are refused, and the other way round"
        return note("server", "a server as in P1 and A1 printers, with one connection at a time", advice)
    return good("server", f"a server as in X1, P2S and H2 printers ({family.name})")


def _listed(visit: Visit, session: FtpsSession) -> tuple[FtpsSession, list[Entry], int]:
    """What is at the top, in how many tries, and the session that told it: a lost one is replaced, as a mount does."""
    tries = 1
    try:
        lines = session.list(paths.ROOT)
    except ConnectionDropped:
        session.close()
        session = visit.session = visit.open_session()
        lines, tries = session.list(paths.ROOT), 2
    return session, parse_list(lines, time.time(), lambda line: None), tries


def _no_listing(error: PrinterError) -> Iterator[Finding]:
    if isinstance(error, CardRefused):
        yield bad("listing", f"the printer shows no storage ({error.reply.strip()})", _NO_STORAGE)
    else:
        yield bad("data connection", f"none comes about: {error}", _FIREWALL)


def _storage(entries: list[Entry]) -> Iterator[Finding]:
    if not entries:
        yield bad("listing", "the printer's storage is empty, not even its own folders are there", _NO_STORAGE)
        return
    folders = sum(entry.is_dir for entry in entries)
    yield good("listing", f"{folders} folders and {len(entries) - folders} files at the top")
    rescued = [entry.name for entry in entries if re.fullmatch(r"FSCK\d+\.REC", entry.name, re.IGNORECASE)]
    if rescued:
        yield note(
            "storage health",
            f"{rescued[0]}{' and others' if len(rescued) > 1 else ''}: a repair of the card has left pieces of files",
            "the card was pulled out while in use, or is failing: copy what you need, and format it in the printer",
        )


# --- writing ------------------------------------------------------------------------------------------


@dataclass
class _Trial:
    """A small file on its way there and back."""

    visit: Visit
    session: FtpsSession
    path: str
    content: bytes

    def put(self, path: str, content: bytes) -> None:
        self.session.store(path, io.BytesIO(content), lambda sent: None)

    def get(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on, and the transfer ended as the family likes it."""
        download, blocks = self.session.download(self.path, offset), list[bytes]()
        wanted = length
        while wanted > 0 and (block := download.read(min(wanted, 65536))):
            blocks.append(block)
            wanted -= len(block)
        download.finish()
        return b"".join(blocks)


def _trial(visit: Visit, session: FtpsSession) -> Iterator[Finding]:
    """Write, look at it, read it back, try what the server can do with it, and remove it whatever happens."""
    trial = _Trial(visit, session, new_part_path("/x"), os.urandom(_SIZE))
    leftovers = Leftovers(visit.config.printer_dir / "parts")
    leftovers.note(trial.path)
    try:
        yield from _written(trial)
    except PrinterError as error:
        yield _failed(error)
    else:
        yield from _clock(trial)
        for step, ask in _ABILITIES:
            yield from _tried(step, ask, trial)
    yield from _removed(trial, leftovers)


def _written(trial: _Trial) -> Iterator[Finding]:
    began = time.monotonic()
    trial.put(trial.path, trial.content)
    seconds = time.monotonic() - began
    with suppress(CardRefused):
        arrived = trial.session.size(trial.path)
        if arrived != _SIZE:
            yield bad("writing", f"only {arrived} of {_SIZE} bytes arrived, and the printer said all was well", _LINK)
            return
    if seconds > trial.visit.slow_after:
        advice = "some H2D confirm late; else its Wi-Fi is weak. Copies take that much longer, and arrive whole"
        yield note("writing", f"a file of 64 KB was taken, and confirmed after {seconds:.0f} seconds only", advice)
    else:
        yield good("writing", "a file of 64 KB was taken whole")


def _failed(error: PrinterError) -> Finding:
    if isinstance(error, CardFull):
        return bad("writing", "the printer's card is full", "delete something; old timelapses are often the biggest")
    if isinstance(error, CardRefused):
        advice = (
            "is the card write-protected (the slide at the side of its adapter), or worn out? Then it can only be "
            "read: copy what you need, and format or replace it"
        )
        return bad("writing", f"the printer takes no file ({error.reply.strip()})", advice)
    return bad("writing", f"a file of 64 KB does not get there: {error}", _LINK)


def _tried(step: str, ask: Callable[[_Trial], Finding], trial: _Trial) -> Iterator[Finding]:
    """One step that an answer of the printer, or the loss of its connection, cannot spoil for the next."""
    try:
        yield ask(trial)
    except PrinterError as error:
        yield bad(step, f"it fails: {error}", _LINK)
        if not error.answered:
            with suppress(PrinterError):
                trial.session.close()
                trial.session = trial.visit.session = trial.visit.open_session()


def _read_back(trial: _Trial) -> Finding:
    back = trial.get(0, _SIZE)
    if back == trial.content:
        return good("reading", "it came back byte for byte")
    if len(back) < _SIZE:
        sentence = f"the printer ended it after {len(back)} of {_SIZE} bytes, and said that was all"
        advice = "bambufs notices that and reads on or says so. If it happens often, its card may be failing: format it"
        return bad("reading", sentence, advice)
    return bad("reading", "it came back changed", "its card is failing: copy what you need, and replace it")


def _from_the_middle(trial: _Trial) -> Finding:
    step = "reading from the middle"
    if not trial.session.family.has_rest:
        return note(step, "printers of this kind cannot; the file is fetched up to the place that is read")
    try:
        part = trial.get(_SIZE // 2, 1000)
    except CardRefused:
        return note(step, "this printer cannot; the file is fetched up to the place that is read")
    if part != trial.content[_SIZE // 2 :][:1000]:
        return bad(step, "the wrong bytes came back", "update the printer's firmware")
    return good(step, "it can, so looking into a big file fetches only what is looked at")


def _rename(trial: _Trial) -> Finding:
    new = new_part_path(trial.path)
    try:
        trial.session.rename(trial.path, new)
    except CardRefused as refusal:
        advice = (
            "files are written under their own names then, so a copy that breaks off may cost the old file on the card "
            "(yours is kept). Newer firmware may know how to rename"
        )
        return note("renaming", f"this printer refuses it ({refusal.reply.strip()})", advice)
    trial.path = new
    return good("renaming", "it can, so a new file takes its place only when it is whole")


def _replace(trial: _Trial) -> Finding:
    step, other = "replacing a file", new_part_path(trial.path)
    careful = "the old file is put aside first, so for a moment there is none by that name"
    if not trial.session.family.renames_over:
        return note(step, f"printers of this kind cannot do it in one step; {careful}")
    trial.put(other, b"old")
    try:
        trial.session.rename(trial.path, other)
    except CardRefused:
        with suppress(CardRefused):
            trial.session.delete(other)
        return note(step, f"this printer cannot do it in one step; {careful}")
    trial.path = other
    return good(step, "it can in one step: there is always the old file or the new one")


def _set_time(trial: _Trial) -> Finding:
    wanted = int(time.time()) // 2 * 2 - _DAY
    try:
        trial.session.set_time(trial.path, wanted)
    except CardRefused:
        return note("dates", "the printer keeps no dates of its own; they are remembered on this computer")
    return good("dates", "it keeps the dates that files are given")


def _folders(trial: _Trial) -> Finding:
    path = f"/.bambufs-{secrets.token_hex(4)}"
    try:
        trial.session.make_folder(path)
        trial.session.remove_folder(path)
    except CardRefused as refusal:
        return note("folders", f"this printer does not make or remove folders ({refusal.reply.strip()})")
    return good("folders", "they can be made and removed")


_ABILITIES: tuple[tuple[str, Callable[[_Trial], Finding]], ...] = (
    ("reading", _read_back),
    ("reading from the middle", _from_the_middle),
    ("renaming", _rename),
    ("replacing a file", _replace),
    ("dates", _set_time),
    ("folders", _folders),
)


def _removed(trial: _Trial, leftovers: Leftovers) -> Iterator[Finding]:
    """Take the file away. What cannot be removed now, the next mount removes, since it is noted."""
    try:
        trial.session.delete(trial.path)
    except CardRefused as refusal:
        if refusal.code != "550":
            advice = "update the printer's firmware; until then delete files on its screen"
            yield bad("deleting", f"the printer refuses it ({refusal.reply.strip()}): {trial.path} stays", advice)
            return
    except PrinterError:
        return
    leftovers.strike_out(trial.path)


# --- clock --------------------------------------------------------------------------------------------


def _clock(trial: _Trial) -> Iterator[Finding]:
    """How far the date that the printer gave the file is from now."""
    step, now = "clock", trial.visit.clock()
    try:
        told = trial.session.modified([trial.path])[0] or _listed_time(trial, now)
    except PrinterError:
        told = None
    if told is None:
        yield skipped(step, "the printer does not tell what time it has")
        return
    ahead = told - now
    zone = round(ahead / _QUARTER) * _QUARTER
    if abs(ahead) < 120:
        yield good(step, "the printer's clock is right")
    elif abs(ahead - zone) < 120 and abs(zone) <= 14 * 3600:
        side = "ahead" if zone > 0 else "behind"
        sentence = f"the printer tells its own local time, {abs(zone) / 3600:g} hours {side} of UTC"
        yield note(step, sentence, "dates in listings differ by that. Copying is not affected")
    else:
        sentence = f"a file written now is dated {_span(ahead)} {'ahead' if ahead > 0 else 'back'}"
        advice = "printers in LAN only mode cannot ask for the time. Dates are wrong by that; copying is not affected"
        yield note(step, sentence, advice)


def _listed_time(trial: _Trial, now: float) -> int | None:
    lines = trial.session.list(paths.ROOT, hidden=True)
    name = paths.split(trial.path)[1]
    return next((entry.mtime for entry in parse_list(lines, now, lambda line: None) if entry.name == name), None)


def _span(seconds: float) -> str:
    seconds = abs(seconds)
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:.1f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"


# --- sessions -----------------------------------------------------------------------------------------


def _sessions(visit: Visit, session: FtpsSession) -> Iterator[Finding]:
    if session.family.max_sessions == 1:
        return
    try:
        visit.open_session().quit()
    except PrinterBusy:
        advice = "while bambufs is connected others are refused, and the other way round; a long copy delays listings"
        yield note("connections", "the printer takes one at a time just now", advice)
    except PrinterError as error:
        yield note("connections", f"a second one fails: {error}", _LINK)
    else:
        yield good("connections", "it takes more than one at a time")
