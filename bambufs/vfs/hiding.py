"""Hiding: an open file whose name goes away is first given another one by libfuse, known to its openers only.

So it is when the file is deleted, and also when another one is about to replace it: then the rename that does follows
at once, in the same thread. When that fails, the file has its name again. Nobody has deleted it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..printer.card import Card
from ..printer.parts import Keep
from .files import OpenFiles
from .handles import Node
from .listings import ListingCache
from .times import TimeStore

_AT_ONCE = 0.5
"""Seconds within which the rename follows: some microseconds, and a little more when the machine is busy."""


class Hiding:
    """Remembers what was hidden last. Safe to call from many threads."""

    def __init__(self, card: Card, listings: ListingCache, times: TimeStore, files: OpenFiles) -> None:
        self._card, self._listings, self._times, self._files = card, listings, times, files
        self._thread = threading.local()

    def hidden(self, node: Node, path: str) -> None:
        """``node`` was hidden, and is not at ``path`` any more."""
        self._thread.last = (node, path, time.monotonic())

    @contextmanager
    def undone_on_failure(self, path: str) -> Iterator[None]:
        """In the block something is renamed to ``path``; when that fails, what was hidden for it is there again."""
        node = self._hidden_for(path)
        with ExitStack() as stack:
            if node is None or stack.enter_context(self._files.pinned(node.path)) != [node]:
                yield
                return
            if node.remote is not None:
                keep = Keep(node.remote_path, node.moved_on_printer)
                stack.enter_context(self._card.replacing(path, keep))
            try:
                yield
            except BaseException:
                self._undo(node, path)
                raise

    def _hidden_for(self, path: str) -> Node | None:
        """What was hidden at ``path`` just now in this thread."""
        last: tuple[Node, str, float] | None = getattr(self._thread, "last", None)
        self._thread.last = None
        if last is None or last[1] != path or time.monotonic() - last[2] > _AT_ONCE:
            return None
        return last[0]

    def _undo(self, node: Node, path: str) -> None:
        node.is_removed = False
        self._files.nodes.move(node, path)
        if node.remote is not None:
            self._times.remember(path, node.remote.size, node.remote.mtime)
            self._listings.apply(path, node.remote)
