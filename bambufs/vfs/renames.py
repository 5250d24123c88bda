"""Renames: what renaming and deleting mean for files that are on the printer, open, dirty, or in the overlay.

Dirty files follow their rename without a round trip until they are stored; a dot name renamed to a visible one is
uploaded by that very rename, which reports the upload's error; libfuse's ``.fuse_hidden`` names stand for files that
were deleted while open.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress

from .. import interrupts
from ..errors import PrinterBusy, os_error
from ..printer import paths
from ..printer.card import Card
from ..printer.parts import Keep, new_part_path
from .blocks import BlockCache
from .files import OpenFiles
from .handles import Node
from .hiding import Hiding
from .listings import ListingCache
from .overlay import Overlay
from .times import TimeStore

logger = logging.getLogger(__name__)

_UPLOAD_PATIENCE = 2.0
"""Seconds for which renaming a folder waits for the upload of a file in it: enough for a small one just closed."""


class Renames:
    """Moves and deletes names. The caller has checked that they exist and may be replaced."""

    HIDDEN_PREFIX = ".fuse_hidden"
    """The names that libfuse gives to files deleted while open."""

    def __init__(
        self,
        card: Card,
        listings: ListingCache,
        overlay: Overlay,
        blocks: BlockCache,
        times: TimeStore,
        files: OpenFiles,
    ) -> None:
        self._card, self._listings, self._overlay = card, listings, overlay
        self._blocks, self._times, self._files = blocks, times, files
        self._hiding = Hiding(card, listings, times, files)
        self.undone_on_failure = self._hiding.undone_on_failure

    def is_hiding(self, new: str) -> bool:
        """Whether a rename to ``new`` is libfuse's way of saying that an open file was deleted."""
        return paths.split(new)[1].startswith(self.HIDDEN_PREFIX)

    def hide(self, old: str, new: str) -> None:
        """Delete the open file at ``old``; it goes on under the name ``new``, which only its openers know."""
        with self._files.pinned(old) as (node,):
            if node is not None:
                self._remove(node)
                self._files.nodes.move(node, new)
                if not node.is_local:
                    self._hiding.hidden(node, old)
                return
        self.unlink(old)

    def unlink(self, path: str) -> None:
        """Delete the file at ``path``; those who have it open go on using it."""
        with self._files.pinned(path) as (node,):
            if node is not None:
                if not node.is_removed:
                    self._remove(node)
                self._files.nodes.detach(node)
                return
        if paths.is_dot_path(path):
            self._overlay.unlink(path)
        else:
            self._card.delete(path)
            self._forget(path)

    def _remove(self, node: Node) -> None:
        """Delete the name of an open file, which owes nothing from then on, and whose upload is called off."""
        node.is_removed = True
        if node.upload is not None:
            node.upload.call_off()
        try:
            with self._holding([node]):
                self._delete(node)
        except BaseException:
            node.is_removed = False
            raise
        self._files.forgive(node)

    def _delete(self, node: Node) -> None:
        """Delete what the printer (or the overlay) has of it. Content that is still to be read gets a hidden name."""
        path = node.path
        if node.is_local:
            self._overlay.unlink(path)
            return
        if node.remote is not None and not (node.handles and self._put_aside(node)):
            with suppress(FileNotFoundError) if node.is_noted else nullcontext():  # a day may have passed
                self._card.delete(node.remote_path)
            node.remote = None
        self._forget(path)

    def _put_aside(self, node: Node) -> bool:
        """Give what the printer has of it a hidden name. False when it cannot, and nobody will read it there."""
        hidden = new_part_path(node.path, self._card.family.longest_path)
        try:
            self._card.set_aside(node.remote_path, hidden)
        except FileNotFoundError:
            if not node.is_noted:
                raise
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if node.spool is not None or node.remote is None or not node.remote.size:
                return False
            message = "a program has this file open, and this printer cannot put it aside; close it first"
            raise PrinterBusy(message, node.path) from error
        node.moved_on_printer(hidden)
        return True

    def rename(self, old: str, new: str, *, is_dir: bool) -> None:
        """Rename ``old`` to ``new``, replacing a file there."""
        from_overlay, to_overlay = paths.is_dot_path(old), paths.is_dot_path(new)
        if from_overlay != to_overlay and is_dir:
            raise os_error(errno.EXDEV, new)  # `mv` then copies
        if to_overlay and not from_overlay:
            self._withdraw(old, new)
            return
        below = [node.path for node in self._files.nodes.below(old)] if is_dir else []
        with self._files.pinned(old, new, *below) as (node, target, *inside):
            if from_overlay and to_overlay:
                self._within_overlay(old, new, [n for n in (node, *inside) if n is not None], target)
            elif from_overlay:
                self._publish(old, new, node, target)
            elif is_dir:
                self._rename_folder(old, new, [n for n in inside if n is not None])
            else:
                self._rename_file(old, new, node, target)

    # --- the kinds of rename ----------------------------------------------------------------------

    def _rename_file(self, old: str, new: str, node: Node | None, target: Node | None) -> None:
        if target is None:
            if node is None or not self._redirected(node, new):
                self._move_file(old, new, node)
        elif not self._has_superseded(old, new, node, target):
            with self._replacing(target) as keep:
                self._move_file(old, new, node, target, keep)

    def _move_file(
        self, old: str, new: str, node: Node | None, target: Node | None = None, keep: Keep | None = None
    ) -> None:
        with self._holding([n for n in (node,) if n is not None]):
            if node is None or node.remote is not None:
                self._move_on_printer(old, new, node, keep)
            elif target is None or keep is None:
                self._inherit(node, new)
            else:
                self._delete(target)
            if node is not None:
                self._follow(node, new)

    def _move_on_printer(self, old: str, new: str, node: Node | None, keep: Keep | None = None) -> None:
        held = old if node is None else node.remote_path  # another one after an upload that failed
        self._files.disown(new, besides=node)
        self._card.rename(held, new, keep=keep)
        self._times.renamed(held, new)
        self._blocks.forget(old)
        self._blocks.forget(new)
        self._relist(old, new)

    @contextmanager
    def _replacing(self, target: Node | None) -> Iterator[Keep | None]:
        """The open file ``target``, if there is one, is replaced in the block; when that fails, it is what it was.

        Those who have it open go on with the content that they opened: what to keep of it for them is given.
        """
        if target is None:
            yield None
            return
        target.is_removed = True  # nothing of it is stored from now on
        if target.upload is not None:
            target.upload.call_off()
        try:
            with self._holding([target]):
                keep = self._kept(target)
            yield keep
        except BaseException:
            target.is_removed = False
            raise
        self._files.forgive(target)
        self._files.nodes.detach(target)

    def _kept(self, target: Node) -> Keep | None:
        """How the printer is to keep what is still to be read of ``target``; None when nothing is."""
        has_more = target.spool is None and target.remote is not None and target.remote.size > 0
        if target.is_local or not has_more or not target.handles:
            return None
        return Keep(new_part_path(target.path, self._card.family.longest_path), target.moved_on_printer)

    def _has_superseded(self, old: str, new: str, node: Node | None, target: Node) -> bool:
        """Let the file at ``old`` (``node``, if it is open) take the place of ``target``, whose content is all here.

        What the printer holds there stays until it is replaced, and what is owed there is owed until then: a rename
        that fails leaves both. False when the content of ``target`` is not here, or a program waits for its upload:
        that is called off rather than waited for, unless the printer would be left without either.
        """
        is_awaited = target.upload is not None and not target.gives_way
        if is_awaited and (node is None or node.remote is not None):
            return False
        with self._holding([n for n in (node, target) if n is not None]):
            is_elsewhere = target.remote is not None and target.remote_path != target.path
            if target.spool is None or target.is_removed or is_elsewhere:
                return False
            if node is None or node.remote is not None:
                self._move_on_printer(old, new, node)
            else:
                node.remote = target.remote
            if node is not None:
                self._follow(node, new)
            self._supersede(target)
        return True

    def _supersede(self, target: Node) -> None:
        """Another node has taken the place of ``target``, and what the printer holds of it."""
        target.remote = None
        self._files.nodes.detach(target)
        self._files.forgive(target)

    def _inherit(self, node: Node, path: str) -> None:
        """A file that was never stored replaces ``path``, which stays on the printer until then: it is now its own."""
        entry = self._listings.lookup(path)
        if entry is not None and not entry.is_dir:
            node.remote, node.remote_path = entry, path

    def _redirected(self, node: Node, new: str) -> bool:
        """Rename a file whose upload is running, without waiting for its end; False when there is none, or it ends now.

        What the printer holds of it is renamed at once where there is a second session, else when the upload is over.
        """
        upload, old = node.upload, node.path
        has_old = node.remote is not None and node.remote_path == old
        can_ask = self._card.family.max_sessions > 1

        def rename_old() -> None:
            assert upload is not None
            if has_old and can_ask:
                self._files.disown(new, besides=node)
                self._card.rename(old, new)
                node.remote_path = new
                self._times.renamed(old, new)
            elif node.remote is not None:
                upload.leaves = node.remote_path

        if upload is None or not upload.redirect(new, rename_old):
            return False
        self._files.moved(node, new)
        self._blocks.forget(old)
        self._blocks.forget(new)
        self._listings.apply(old, None)
        return True

    def _follow(self, node: Node, path: str) -> None:
        if node.remote is not None:
            node.remote = node.remote._replace(name=paths.split(path)[1])
        node.remote_path = path
        self._files.moved(node, path)
        if node.blocks is not None:
            node.blocks.moved(path)

    def _rename_folder(self, old: str, new: str, nodes: list[Node]) -> None:
        with self._holding(nodes, patience=_UPLOAD_PATIENCE):
            self._card.rename(old, new)
            for node in nodes:
                if paths.is_below(node.remote_path, old):  # which may be another path than its own, or a hidden one
                    node.moved_on_printer(paths.moved(node.remote_path, old, new))
                self._files.moved(node, paths.moved(node.path, old, new))
            self._overlay.folder_renamed(old, new)
            for node in nodes:
                if node.is_local and node.spool is not None:
                    node.spool.file = self._overlay.local(node.path)
            self._times.renamed(old, new)
            self._blocks.forget(old)
            self._listings.forget(old)
            self._listings.forget(new)
            self._relist(old, new)

    def _within_overlay(self, old: str, new: str, nodes: list[Node], target: Node | None) -> None:
        with self._holding(nodes):
            self._overlay.rename(old, new)
            if target is not None:
                self._files.nodes.detach(target)
            for moving in nodes:
                self._files.nodes.move(moving, paths.moved(moving.path, old, new))
                if moving.spool is not None:
                    moving.spool.file = self._overlay.local(moving.path)

    def _publish(self, old: str, new: str, open_node: Node | None, target: Node | None) -> None:
        """A dot name becomes visible: upload it. When that fails, it stays what and where it was."""
        node = open_node or self._files.local_node(old)
        assert node.spool is not None
        is_here = target is not None and target.spool is not None and not target.is_local
        superseded = target if is_here and self._files.in_background else None
        replaced = target if superseded is None else None
        try:
            with (
                self._replacing(replaced) as keep,
                self._holding([n for n in (node, superseded) if n is not None]),
            ):
                if superseded is not None:
                    node.remote, node.remote_path = superseded.remote, new
                elif self._files.in_background:
                    self._inherit(node, new)
                self._files.publish(node, new, keep)
                if superseded is not None:
                    self._supersede(superseded)
                elif replaced is not None and keep is not None and node.owes_upload:
                    self._keep_now(replaced, keep)
        except BaseException:
            if node.is_local:
                node.remote = None
            raise
        finally:
            if open_node is None and node.is_local and node.spool is not None:
                node.spool.close()
        if open_node is None:
            self._files.end(node)

    def _keep_now(self, replaced: Node, keep: Keep) -> None:
        """What takes the place of ``replaced`` is stored later, when nobody will think of those who read that one."""
        try:
            self._card.set_aside(replaced.remote_path, keep.at)
        except OSError as error:
            logger.info("%s: is replaced while a program reads it: %s", replaced.path, error)
        else:
            keep.moved(keep.at)

    def _withdraw(self, old: str, new: str) -> None:
        """A visible file becomes a dot name: fetch it, then delete it on the printer."""
        number = self._files.open(old, os.O_RDONLY)
        try:
            node = self._files.nodes.handle(number).node
            spool = self._files.contents.copy_of(node)
            mtime = node.attributes.mtime
            with self._holding([node]):
                if node.remote is not None:
                    self._card.delete(node.remote_path)
                    self._forget(old)
                self._overlay.put(spool.file, new)
                spool.file = self._overlay.local(new)
                os.utime(spool.file, (mtime, mtime))
                node.mtime = mtime
                self._files.become_local(node, new, spool)
        finally:
            self._files.release(number)

    # --- small things -----------------------------------------------------------------------------

    def _relist(self, old: str, new: str) -> None:
        """Show the new name in place of the old one; when what was there is not known, ask for the folder again."""
        entry = self._listings.known(paths.parent(old)).get(paths.split(old)[1])
        self._listings.apply(old, None)
        if entry is not None:
            self._listings.apply(new, entry._replace(name=paths.split(new)[1]))
        else:
            self._listings.forget(paths.parent(new))

    def _forget(self, path: str) -> None:
        self._times.forget(path)
        self._blocks.forget(path)
        self._listings.apply(path, None)

    @contextmanager
    def _holding(self, nodes: list[Node], *, patience: float = math.inf) -> Iterator[None]:
        """Keep the contents of ``nodes`` still; always in one order, so that two renames cannot block each other.

        Raises `PrinterBusy` when one of them is being uploaded for longer than ``patience`` seconds.
        """
        with ExitStack() as stack:
            for node in sorted(nodes, key=id):
                node.make_way()
                if not interrupts.acquire(node.io_lock, patience):
                    message = "a file in this folder is being uploaded; rename the folder when that is done"
                    raise PrinterBusy(message, paths.parent(node.path))
                stack.callback(node.io_lock.release)
            yield

