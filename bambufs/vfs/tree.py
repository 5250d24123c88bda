"""Tree: what is where on the mount, from the printer's listings, the overlay and the open files; and its rules.

The rules say which names may be new: those that the card can store, and does not take for one that is there.
"""

from __future__ import annotations

import errno
import logging
import threading

from ..errors import os_error
from ..printer import paths
from ..printer.card import Card
from .attributes import Attributes
from .handles import NodeTable
from .listings import ListingCache
from .overlay import Overlay
from .renames import Renames
from .walks import Walks

logger = logging.getLogger(__name__)


class Tree:
    """The names of one mount. ``made_at`` is the time of its top folder, in seconds since the epoch."""

    def __init__(
        self,
        card: Card,
        listings: ListingCache,
        overlay: Overlay,
        nodes: NodeTable,
        walks: Walks,
        *,
        is_read_only: bool,
        made_at: int,
    ) -> None:
        self._card, self._listings, self._overlay, self._nodes, self._walks = card, listings, overlay, nodes, walks
        self._is_read_only, self._made_at = is_read_only, made_at
        self._warned_root = threading.Event()

    # --- what is there ----------------------------------------------------------------------------

    def find(self, path: str) -> Attributes | None:
        """What is at ``path``, or None."""
        node = self._nodes.at(path)
        if node is not None:
            attributes = node.attributes
            if not node.is_finished:
                return attributes
        if paths.is_dot_path(path):
            return self._overlay.attributes(path)
        if path == paths.ROOT:
            return Attributes(True, 0, self._made_at)
        entry = self._listings.lookup(path)
        return None if entry is None else Attributes(entry.is_dir, entry.size, entry.mtime)

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """The names in the folder ``path`` with what they are; raises `FileNotFoundError`, `NotADirectoryError`."""
        attributes = self.find(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path)
        if not attributes.is_dir:
            raise os_error(errno.ENOTDIR, path)
        # First what is open: a file that is stored and closed during the listing is in the one or in the other.
        opened = self._opened_in(path)
        found: dict[str, Attributes] = {}
        if not paths.is_dot_path(path):
            self._walks.entered(path)
            found = {
                entry.name: Attributes(entry.is_dir, entry.size, entry.mtime)
                for entry in self._listings.listing(path).values()
                if not entry.name.startswith(".")
            }
            self._walks.left(path)
        for name in self._overlay.names(path):
            local = self._overlay.attributes(paths.join(path, name))
            if local is not None:
                found[name] = local
        found.update(opened)
        return sorted(found.items())

    def _opened_in(self, folder: str) -> dict[str, Attributes]:
        """The open files right inside ``folder`` by name."""
        opened = {}
        for node in self._nodes.in_folder(folder):
            name = paths.split(node.path)[1]
            attributes = node.attributes
            if not name.startswith(Renames.HIDDEN_PREFIX) and not node.is_finished:
                opened[name] = attributes
        return opened

    # --- rules ------------------------------------------------------------------------------------

    def check_writable(self, path: str) -> None:
        """Raise EROFS in a read-only mount, and EBUSY for the top folder itself."""
        if self._is_read_only:
            raise os_error(errno.EROFS, path)
        if path == paths.ROOT:
            raise os_error(errno.EBUSY, path)

    def check_new(self, path: str, *, besides: str | None = None) -> None:
        """Refuse a new name whose folder is missing, that the card cannot store, or that it takes for an existing one.

        ``besides`` is a name that is about to go away, so that a file's case can be changed.
        """
        folder = paths.parent(path)
        parent = self.find(folder)
        if parent is None:
            raise os_error(errno.ENOENT, folder)
        if not parent.is_dir:
            raise os_error(errno.ENOTDIR, folder)
        if paths.is_dot_path(path):
            paths.check_sendable(path)
            return
        paths.check_storable(path, longest_path=self._card.family.longest_path)
        for other in self._names_like(path):
            if paths.join(folder, other) not in (path, besides):
                message = f"the card holds {other} already, and does not tell upper from lower case"
                raise FileExistsError(errno.EEXIST, message, path)

    def _names_like(self, path: str) -> list[str]:
        """The names beside ``path``, itself included, that the card does not tell from its own."""
        folder, name = paths.split(path)
        folded = paths.folded(name)
        open_names = [paths.split(node.path)[1] for node in self._nodes.in_folder(folder)]
        return [*self._listings.like(path), *(other for other in open_names if paths.folded(other) == folded)]

    def warn_of_ghost_print(self, path: str) -> None:
        """P1 and A1 models may print a 3MF in the root by themselves at power-up (maziggy/bambuddy#374)."""
        is_risky = paths.parent(path) == paths.ROOT and path.lower().endswith(".3mf") and not paths.is_dot_path(path)
        if is_risky and self._card.family.name == "ESP32" and not self._warned_root.is_set():
            self._warned_root.set()
            logger.warning(
                "%s: P1 and A1 printers may start printing a 3MF in the top folder by themselves when switched on; "
                "better copy it into /model or /cache",
                path,
            )


def check_replaceable(source: Attributes, new: str, target: Attributes, replace: bool) -> None:
    """Raise why ``target``, which is at ``new``, may not be replaced by ``source``, if so."""
    if not replace:
        raise os_error(errno.EEXIST, new)
    if target.is_dir and not source.is_dir:
        raise os_error(errno.EISDIR, new)
    if source.is_dir and not target.is_dir:
        raise os_error(errno.ENOTDIR, new)
