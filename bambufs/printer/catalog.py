"""Catalog: what is on the card, as listings and single questions tell it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import CardRefused, NotSupported
from . import paths
from .access import METADATA_PATIENCE, Access
from .entry import Entry
from .listing import parse_list

logger = logging.getLogger(__name__)

_MAX_ODD_LINES = 200
_MAX_ODD_TEXT = 200

_ENOUGH_UNTOLD = 5
"""Files in a listing after which a printer that has told the time of none is not asked again."""

_PIPELINED = 500
"""Commands sent at once: they and their replies must fit into the sockets' buffers."""


@dataclass
class ExactListing:
    """What is in a folder, those ``vague`` entries whose listed time did not do, and what the printer told of them."""

    entries: Sequence[Entry] = ()
    vague: Sequence[Entry] = ()
    times: dict[str, int] = field(default_factory=dict)


class Catalog:
    """Looks, and changes nothing. ``clock`` gives seconds since the epoch, for reading listings."""

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access, self._clock = access, clock
        self._tells_times: bool | None = None
        self._odd_lines: set[str] = set()

    def list(self, folder: str, *, patience: float = METADATA_PATIENCE, hidden: bool = False) -> Sequence[Entry]:
        """What is in ``folder``; waits for a free session at most ``patience`` seconds.

        Raises `FileNotFoundError` when there is no such folder.
        """

        def ask() -> Sequence[str]:
            with self._access.lend(patience=patience) as session:
                return session.list(folder, hidden=hidden)

        with _explained(folder):
            return self._parsed(self._access.again_once(ask))

    def list_exactly(
        self, folder: str, pick: Callable[[Sequence[Entry]], Sequence[Entry]], *, patience: float = METADATA_PATIENCE
    ) -> ExactListing:
        """As `list`, with the times, exact to the second, of the entries that ``pick`` takes from it.

        Where commands go together they are asked for while the listing ends, and cost no round trip of their own.
        """
        found = ExactListing()

        def files(lines: Sequence[str]) -> Sequence[str]:
            found.entries = self._parsed(lines)
            found.vague = pick(found.entries)
            return [paths.join(folder, entry.name) for entry in found.vague]

        def ask() -> int:
            with self._access.lend(patience=patience) as session:
                if not session.pipelines or not self._may_tell_times:
                    files(session.list(folder))
                    return 0
                times = session.list_then_ask(folder, lambda lines: files(lines)[:_PIPELINED])
                found.times = self._told([entry.name for entry in found.vague], times)
                return len(times)

        with _explained(folder):
            asked = self._access.again_once(ask)
        rest = [entry.name for entry in found.vague[asked:]]
        found.times.update(self.modified(folder, rest, patience=patience))
        return found

    def modified(self, folder: str, names: Sequence[str], *, patience: float = METADATA_PATIENCE) -> dict[str, int]:
        """The times, exact to the second, of files in ``folder``, as far as the printer tells them.

        Where commands go one by one, this takes a round trip for each; others get the session in between.
        """
        found: dict[str, int] = {}
        for start in range(0, len(names), _PIPELINED):
            if not self._may_tell_times:
                break
            some = names[start : start + _PIPELINED]
            with self._access.lend(patience=patience) as session:
                found.update(self._told(some, session.modified([paths.join(folder, name) for name in some])))
        return found

    @property
    def _may_tell_times(self) -> bool:
        return self._access.family.tells_times and self._tells_times is not False

    def _told(self, names: Sequence[str], times: Sequence[int | None]) -> dict[str, int]:
        """The ``times`` told of ``names``, and a note whether this printer tells any."""
        found = {name: mtime for name, mtime in zip(names, times) if mtime is not None}
        if found:
            self._tells_times = True
        elif self._tells_times is None and len(times) >= _ENOUGH_UNTOLD:
            self._tells_times = False
        return found

    def _parsed(self, lines: Iterable[str]) -> Sequence[Entry]:
        return parse_list(lines, self._clock(), self._note_odd)

    def _note_odd(self, line: str) -> None:
        text = ascii(line[:_MAX_ODD_TEXT])
        if text in self._odd_lines or len(self._odd_lines) >= _MAX_ODD_LINES:
            return
        self._odd_lines.add(text)
        logger.warning("the printer lists something that cannot be shown: %s", text)
        if len(self._odd_lines) == _MAX_ODD_LINES:
            logger.warning("the printer lists more that cannot be shown; no more of it is told here")

    def find(self, path: str) -> Entry | None:
        """What is at ``path``, hidden or not; None when there is nothing."""
        folder, name = paths.split(path)
        try:
            return next((entry for entry in self.list(folder, hidden=name.startswith(".")) if entry.name == name), None)
        except FileNotFoundError:
            return None

    def size(self, path: str) -> int | None:
        """The size of a file in bytes, or None when there is none."""

        def ask() -> int:
            with self._access.lend() as session:
                return session.size(path)

        try:
            return self._access.again_once(ask)
        except NotSupported:
            entry = self.find(path)
            return entry.size if entry else None
        except CardRefused:
            return None


@contextmanager
def _explained(folder: str) -> Iterator[None]:
    """Say what a refusal to list ``folder`` means."""
    try:
        yield
    except CardRefused as refusal:
        if folder == paths.ROOT:
            raise CardRefused("the printer shows no storage; is its card (or USB stick) in?", folder) from refusal
        raise FileNotFoundError(errno.ENOENT, "No such folder on the printer", folder) from refusal
