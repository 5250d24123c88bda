"""PrintDesk: from a line of text, or the content of a 3MF, to a checked, stored and started print.

Everything is checked before anything is sent, and one request is worked on at a time. A print is asked for once
and never again by itself. Knows no FUSE: where files come from and go to is a `Storage`.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from .. import interrupts
from ..errors import InvalidJob, PrinterBusy, PrinterError, os_error
from ..printer import paths
from ..printer.dialect import check_url_template, name_trouble, safe_name, safe_path
from ..printer.job import PrintJob, build_job, parse_command
from ..printer.models import Model, model_of_serial
from ..printer.outcome import Phase, PrintOutcome
from ..printer.request import PrintRequest, parse_request
from ..printer.sliceinfo import Plate
from ..printer.state import PrinterState
from ..printer.threemf import ThreeMF, file_md5
from .attributes import Attributes
from .history import Entry, History
from .spool import Content

logger = logging.getLogger(__name__)

FOLDER = "/cache"
"""Where printers keep print files; a 3MF in the root of a P1 or A1 may start by itself (maziggy/bambuddy#374)."""

_BLOCK = 1024 * 1024
_MOST_NAMES = 1000
_MOST_KNOWN = 200
_LONGEST_STEM = 90
"""Bytes; BambuStudio cuts names to 100."""


class Storage(Protocol):
    """The files of the printer's card. Paths are absolute on it."""

    def find(self, path: str) -> Attributes | None:
        """What is at ``path``, or None."""

    def settle(self, path: str) -> None:
        """See that the printer has all of the file; raises `PrinterBusy` while it is being written."""

    def reader(self, path: str) -> AbstractContextManager[BinaryIO]:
        """The content, seekable."""

    def store(self, content: Content, path: str) -> None:
        """Store a new file, whole or not at all; raises `FileExistsError` when the name is taken."""

    def make_folder(self, path: str) -> None:
        """Make a folder."""


class Link(Protocol):
    """What is asked of the printer's control connection; see `PrinterLink`."""

    @property
    def serial(self) -> str: ...
    @property
    def state(self) -> PrinterState: ...
    @property
    def outcome(self) -> PrintOutcome | None: ...
    def wait_ready(self, timeout: float) -> None: ...
    def start_print(self, job: PrintJob, timeout: float) -> PrintOutcome: ...
    def command(self, command: str, timeout: float) -> object: ...


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for the connection to be up, and for the printer's answer."""

    ready: float = 6.0
    answer: float = 10.0


@dataclass(frozen=True)
class Checked:
    """A file that can be printed: the plate to print, the MD5 of the file, its title, and what to warn of."""

    plate: Plate
    md5: str
    title: str
    warnings: tuple[str, ...]


class PrintDesk:
    """Takes print requests for one printer. Safe to call from many threads.

    ``mountpoints`` are prefixes under which a user sees the card. ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        storage: Storage,
        link: Link,
        *,
        mountpoints: Sequence[str] = (),
        url_template: str = "",
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage, self._link, self._mountpoints = storage, link, tuple(mountpoints)
        self._url_template = check_url_template(url_template) if url_template else ""
        self._patience, self._clock = patience or Patience(), clock
        self._lock = threading.Lock()
        self._told: tuple[str, Phase] | None = None
        self._known: dict[str, tuple[str, Attributes | None]] = {}  # by MD5: where it was stored, and what was there
        self.history = History(lambda: link.outcome, clock)
        self.last_command: dict[str, str | None] | None = None
        """The last word to the running job, ready for JSON: text, at, trouble (a sentence or null)."""

    # -- requests ----------------------------------------------------------------------------------

    def print_line(self, line: str) -> bool:
        """Carry out one line, such as ``cache/benchy.gcode.3mf plate=2``; see `parse_request`.

        Returns whether it asked for a print: an empty line or a comment does not. Raises `InvalidJob` for what is
        not understood or cannot be printed, `FileNotFoundError`, `PrinterBusy`, and what `PrinterLink.start_print`
        raises.
        """
        if not line or line.startswith("#"):
            return False
        with self._working_on(line) as entry:
            self._print_from_card(parse_request(line, self._mountpoints), entry)
        return True

    def print_stored(self, request: PrintRequest) -> None:
        """Print a file that is on the card; raises as `print_line` does."""
        with self._working_on(request.path) as entry:
            self._print_from_card(request, entry)

    def print_content(self, content: Content, *, name: str = "", request: PrintRequest | None = None) -> str:
        """Check ``content``, store it in `FOLDER`, and print it; returns the path that it got.

        It is called ``name``, else by the title that it carries, else by the time, made safe for the printer; a
        different file of that name is left alone. ``request`` has the options; its path does not count.
        Raises as `print_line` does.
        """
        with self._working_on(name or "a copied 3MF file") as entry, content.reader() as file:
            request = request or PrintRequest("")
            checked = self._check(file, name or "the copied file", request.plate, entry)
            entry.asked += f", {checked.title}" if checked.title and not name else ""
            state = self._await_idle()
            called = name or f"{checked.title}.gcode.3mf"
            wanted = f"{FOLDER}/{stored_name(called, self._model(state), self._clock())}"
            job = self._job(replace(request, path=wanted), checked, state)
            path = self._known_path(checked.md5) if not name else None
            if path is None:
                entry.step(f"It is being stored as {wanted}.")
                path = self._stored(content, file, wanted, checked.md5)
            self._start(replace(job, path=path), entry)
        return path

    def command(self, text: str) -> None:
        """Pause, resume or stop the running job.

        Raises `InvalidJob` for another word or when there is nothing to do so with, and as `PrinterLink.command`.
        """
        if not text:
            return
        trouble = None
        try:
            self._carry_out(parse_command(text))
        except OSError as error:
            trouble = sentence_of(error)
            raise
        finally:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._clock()))
            self.last_command = {"text": text[:40], "at": at, "trouble": trouble}

    def _carry_out(self, word: str) -> None:
        self._link.wait_ready(self._patience.ready)
        self._check_sense(word)
        self._link.command(word, self._patience.answer)
        logger.info("the printer was told to %s", word)

    def _check_sense(self, word: str) -> None:
        state = self._link.state
        if not (state.is_active or self._is_starting()):
            raise InvalidJob(f"Nothing is being printed, so there is nothing to {word}.")
        if word == "resume" and state.gcode_state != "PAUSE":
            raise InvalidJob("The print is not paused, so there is nothing to resume.")

    def follow(self) -> None:
        """Log what becomes of the last request; to be called after every change of the link."""
        outcome = self._link.outcome
        if outcome is None or (outcome.task_id, outcome.phase) == self._told:
            return
        self._told = (outcome.task_id, outcome.phase)
        self.history.touch()
        if outcome.phase in (Phase.STARTED, Phase.FINISHED):
            logger.info("%s", outcome.sentence)
        elif outcome.phase in (Phase.FAILED, Phase.NOT_STARTED):
            logger.warning("%s", outcome.sentence)

    # -- steps -------------------------------------------------------------------------------------

    @contextmanager
    def _working_on(self, asked: str) -> Iterator[Entry]:
        """The one request at a time, noted with what becomes of it."""
        if not self._lock.acquire(blocking=False):
            raise PrinterBusy("Another print request is being worked on; only one is taken at a time. Try again soon.")
        entry = self.history.begin(asked)
        try:
            yield entry
        except OSError as error:
            entry.failed(sentence_of(error))
            if not isinstance(error, PrinterError):  # those are logged where they end
                logger.warning("%s", sentence_of(error))
            raise
        finally:
            entry.done()
            self._lock.release()

    def _print_from_card(self, request: PrintRequest, entry: Entry) -> None:
        path = request.path
        entry.asked = _with_options(path, entry.asked)
        self._check_there(path)
        self._storage.settle(path)
        state = self._await_idle()
        self._check_name(path, self._model(state), entry)
        with self._storage.reader(path) as file:
            checked = self._check(file, path, request.plate, entry)
        self._storage.settle(path)
        self._start(self._job(request, checked, state), entry)

    def _check_there(self, path: str) -> None:
        found = None if paths.is_dot_path(path) else self._storage.find(path)
        if found is not None and found.is_dir:
            raise os_error(errno.EISDIR, path)
        if found is None:
            hint = ". Paths begin at the top of the mount, as in cache/name.3mf" if self._mountpoints else ""
            raise FileNotFoundError(errno.ENOENT, f"There is no such file on the printer{hint}", path)

    def _check_name(self, path: str, model: Model | None, entry: Entry) -> None:
        trouble = name_trouble(path, model)
        if trouble is not None and trouble.certain:
            raise InvalidJob(trouble.sentence, path)
        if trouble is not None:
            entry.warn(trouble.sentence)

    def _check(self, file: BinaryIO, label: str, number: int | None, entry: Entry) -> Checked:
        """Look whether the file can be printed; reads all of it."""
        entry.step("It is being checked.")
        threemf = ThreeMF(file, label)
        plate = threemf.plate(number)
        threemf.check_printable(plate)
        model = self._model(self._link.state)
        warning = threemf.warning_for(model.name if model else None)
        checked = Checked(plate, file_md5(file), threemf.title(), (warning,) if warning else ())
        for text in checked.warnings:
            entry.warn(text)
        return checked

    def _await_idle(self) -> PrinterState:
        """The state of the printer, which is ready to print; raises what stands in the way."""
        self._link.wait_ready(self._patience.ready)
        state, outcome = self._link.state, self._link.outcome
        if self._is_starting() and outcome is not None:
            raise PrinterBusy(f"Another request is still open. {outcome.sentence}")
        if not state.is_ready_to_print:
            job = f": {state.subtask_name}" if state.subtask_name else ""
            raise PrinterBusy(f"The printer is at work ({state.gcode_state}{job}); try again when it is done.")
        return state

    def _is_starting(self) -> bool:
        outcome = self._link.outcome
        return outcome is not None and outcome.is_pending(time.monotonic())

    def _model(self, state: PrinterState) -> Model | None:
        return state.model or model_of_serial(self._link.serial)

    def _job(self, request: PrintRequest, checked: Checked, state: PrinterState) -> PrintJob:
        return build_job(
            request,
            checked.plate,
            md5=checked.md5,
            model=self._model(state),
            trays=None if state.has_ams is None else state.trays,
            url_template=self._url_template,
        )

    def _start(self, job: PrintJob, entry: Entry) -> None:
        """Ask for the print. Being interrupted is possible up to here."""
        interrupts.check()
        entry.sent(job)
        self._link.start_print(job, self._patience.answer)

    # -- storing -----------------------------------------------------------------------------------

    def _known_path(self, md5: str) -> str | None:
        """Where this very content was stored before and still is, unchanged."""
        path, then = self._known.get(md5, ("", None))
        return path if path and self._storage.find(path) == then else None

    def _stored(self, content: Content, file: BinaryIO, wanted: str, md5: str) -> str:
        """Store the content under ``wanted``, or the next name that is free; the same file is not stored again."""
        path = self._stored_anew(content, file, wanted, md5)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[md5] = (path, self._storage.find(path))
        return path

    def _stored_anew(self, content: Content, file: BinaryIO, wanted: str, md5: str) -> str:
        if self._storage.find(FOLDER) is None:
            self._storage.make_folder(FOLDER)
        for path in _numbered(wanted):
            found = self._storage.find(path)
            is_known = found is not None and self._known.get(md5) == (path, found)
            if is_known or (found is not None and self._is_same(file, content.size, path, found)):
                return path
            if found is None and self._try_to_store(content, path):
                logger.info("%s: stored, to be printed", path)
                return path
        raise InvalidJob("Too many files of this name are on the card; delete some of them.", wanted)

    def _try_to_store(self, content: Content, path: str) -> bool:
        try:
            self._storage.store(content, path)
        except FileExistsError:  # a card does not tell upper from lower case
            return False
        return True

    def _is_same(self, file: BinaryIO, size: int, path: str, found: Attributes) -> bool:
        if found.is_dir or found.size != size:
            return False
        self._storage.settle(path)
        file.seek(0)
        with self._storage.reader(path) as other:
            while block := file.read(_BLOCK):
                if other.read(len(block)) != block:
                    return False
        return True


def stored_name(name: str, model: Model | None, now: float) -> str:
    """The name under which a file called ``name`` is stored for ``model``; the time ``now`` where nothing is left."""
    stem, ending = name, ".gcode.3mf"
    for known in (".gcode.3mf", ".3mf"):
        if name.lower().endswith(known):
            stem, ending = name[: -len(known)], name[-len(known) :]
            break
    stem = stem.strip(" .\t\n")
    safe = safe_name(stem, model)
    if safe != stem:
        safe = re.sub(r"[ _]*_[ _]*", "_", safe)
    safe = safe.encode("utf-8", "replace")[:_LONGEST_STEM].decode("utf-8", "ignore")
    safe = safe.strip(" .") if safe.strip(" ._") else time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(now))
    return safe_path(f"{FOLDER}/{safe}{ending}", model).rpartition("/")[2]


def _numbered(path: str) -> Iterator[str]:
    """The path itself, then with a number before its ending."""
    yield path
    ending = ".gcode.3mf" if path.lower().endswith(".gcode.3mf") else ".3mf"
    for number in range(2, _MOST_NAMES):
        yield f"{path[: -len(ending)]}_{number}{path[-len(ending) :]}"


def _with_options(path: str, asked: str) -> str:
    """What was asked for, so that its path can be told from another one's."""
    return asked if path.lstrip("/") in asked else f"{asked} ({path})"


def sentence_of(error: OSError) -> str:
    """What to tell the user of ``error``."""
    if isinstance(error, PrinterError):
        return str(error)
    words = error.strerror or os.strerror(error.errno or errno.EIO)
    return f"{error.filename}: {words}." if error.filename else f"{words}."
