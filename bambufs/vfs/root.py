"""Root: everything that the mount shows, which is the card's files and the control folder beside them.

Each verb goes to the one or to the other, by its path or by its handle.
"""

from __future__ import annotations

import errno

from ..errors import os_error
from ..printer import paths
from .attributes import Attributes
from .control import FOLDER, HANDLE_BIT, ControlFolder
from .filesystem import FileSystem, Space


class Root:
    """The verbs of `FileSystem`, with the control folder in them."""

    def __init__(self, filesystem: FileSystem, control: ControlFolder) -> None:
        self._fs, self._control = filesystem, control

    def connect(self) -> None:
        """Make sure that the printer lets us in. Raises what stands in the way."""
        self._fs.connect()

    def close(self) -> None:
        """Let go of everything; no verb may follow."""
        self._fs.close()

    @staticmethod
    def is_live(fh: int | None) -> bool:
        """Whether a handle is on a control file, whose content is made on the spot."""
        return fh is not None and bool(fh & HANDLE_BIT)

    @staticmethod
    def _is_control(path: str | None) -> bool:
        return path is not None and ControlFolder.owns(path)

    # --- looking ----------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """See `FileSystem.getattr`."""
        if fh is not None and self.is_live(fh):
            return self._control.attributes_of(fh)
        if fh is not None or path is None or not self._is_control(path):
            return self._fs.getattr(path, fh)
        attributes = self._control.attributes(path)
        if attributes is None:
            raise os_error(errno.ENOENT, path)
        return attributes

    def readdir(self, path: str) -> list[tuple[str, Attributes]]:
        """See `FileSystem.readdir`. The control folder is listed in the root only when asked for."""
        if not self._is_control(path):
            entries = self._fs.readdir(path)
            if path == paths.ROOT and self._control.is_listed:
                entries.append((FOLDER[1:], self.getattr(FOLDER)))
            return entries
        if path != FOLDER:
            raise os_error(errno.ENOTDIR, path)
        return [(name, self.getattr(paths.join(FOLDER, name))) for name in self._control.names()]

    def access(self, path: str, mode: int) -> None:
        """See `FileSystem.access`."""
        self.getattr(path)

    def statfs(self) -> Space:
        """See `FileSystem.statfs`."""
        return self._fs.statfs()

    # --- files ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """See `FileSystem.open`."""
        return self._control.open(path, flags) if self._is_control(path) else self._fs.open(path, flags)

    def create(self, path: str, flags: int) -> int:
        """See `FileSystem.create`; the control folder takes no new files."""
        if not self._is_control(path):
            return self._fs.create(path, flags)
        if self._control.attributes(path) is None:
            raise os_error(errno.EPERM, path)
        return self._control.open(path, flags)

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """See `FileSystem.read`."""
        return (self._control if self.is_live(fh) else self._fs).read(fh, size, offset)

    def write(self, fh: int, data: bytes, offset: int) -> int:
        """See `FileSystem.write`; on a control file it acts at once."""
        return (self._control if self.is_live(fh) else self._fs).write(fh, data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """See `FileSystem.truncate`; a control file needs no emptying."""
        if not self.is_live(fh) and not self._is_control(path):
            self._fs.truncate(path, length, fh)

    def flush(self, fh: int) -> None:
        """See `FileSystem.flush`."""
        (self._control if self.is_live(fh) else self._fs).flush(fh)

    def fsync(self, fh: int) -> None:
        """See `FileSystem.fsync`."""
        if not self.is_live(fh):
            self._fs.fsync(fh)

    def cut_off(self, fh: int) -> None:
        """See `FileSystem.cut_off`."""
        (self._control if self.is_live(fh) else self._fs).cut_off(fh)

    def release(self, fh: int) -> None:
        """See `FileSystem.release`."""
        (self._control if self.is_live(fh) else self._fs).release(fh)

    def check_settable(self, path: str) -> None:
        """See `FileSystem.check_settable`."""
        if self._is_control(path):
            self.getattr(path)
        else:
            self._fs.check_settable(path)

    def utimens(self, path: str | None, mtime: int | None, fh: int | None = None) -> None:
        """See `FileSystem.utimens`; a control file's time is always now."""
        if not self.is_live(fh) and not self._is_control(path):
            self._fs.utimens(path, mtime, fh)

    # --- names ------------------------------------------------------------------------------------

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """See `FileSystem.rename`."""
        self._refuse_control(old, new)
        self._fs.rename(old, new, replace=replace)

    def unlink(self, path: str) -> None:
        """See `FileSystem.unlink`."""
        self._refuse_control(path)
        self._fs.unlink(path)

    def mkdir(self, path: str) -> None:
        """See `FileSystem.mkdir`."""
        if path == FOLDER:
            raise os_error(errno.EEXIST, path)
        self._refuse_control(path)
        self._fs.mkdir(path)

    def rmdir(self, path: str) -> None:
        """See `FileSystem.rmdir`."""
        self._refuse_control(path)
        self._fs.rmdir(path)

    def _refuse_control(self, *touched: str) -> None:
        """The control folder and its files cannot be made, moved or removed."""
        for path in touched:
            if self._is_control(path):
                raise os_error(errno.EPERM, path)
