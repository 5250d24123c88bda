"""A printer's card for `fsspec`, and so for whatever uses it (pandas, intake, ...); the extra ``fsspec`` brings it.

    import fsspec
    fs = fsspec.filesystem("bambu", host="192.168.1.50", access_code="12345678")
    fs.ls("/timelapse")
    fs.get("/timelapse/*.avi", "videos/")

    with fsspec.open("bambu://192.168.1.50/logger/printer.log", access_code_file="~/.config/bambufs/code") as log:
        print(log.read())
"""

from __future__ import annotations

import io
import os
import tempfile
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.utils import stringify_path

from .api import FileInfo, Printer, Progress
from .errors import UsageError

__all__ = ["BambuFileSystem"]


class BambuFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec comes without types
    """The files of one printer.

    The options are those of `bambufs.Printer`; with ``auto_mkdir`` the folders above a file that is written are made,
    too. A URL is ``bambu://HOST/PATH``. An access code does not belong into a
    URL, which programs log: give it as ``access_code``, ``access_code_file`` or in BAMBU_ACCESS_CODE.
    """

    protocol = "bambu"
    root_marker = "/"
    cachable = True

    def __init__(
        self, host: str, access_code: str | None = None, *, auto_mkdir: bool = False, **options: Any
    ) -> None:
        super().__init__(host=host, access_code=access_code, auto_mkdir=auto_mkdir, **options)
        self._auto_mkdir = auto_mkdir
        known = {key: value for key, value in options.items() if key in _PRINTER_OPTIONS}
        self.printer = Printer(host, access_code, **known)

    def __repr__(self) -> str:
        return f"<BambuFileSystem {self.printer.host}>"

    def __reduce__(self) -> Any:
        raise TypeError("a connection to a printer cannot be pickled, since its access code would go along")

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """What `fsspec` writes down of a file system (also as JSON): everything but the access code."""
        told: dict[str, Any] = super().to_dict(include_password=include_password)
        told.pop("access_code", None)
        return told

    def close(self) -> None:
        """End the connections; the next use makes new ones only through a new file system."""
        self.printer.close()
        self.clear_instance_cache()

    # -- URLs ------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = stringify_path(path)
        if text.startswith("bambu://"):
            text = "/" + text.removeprefix("bambu://").partition("/")[2]
        return "/" + text.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        if not path.startswith("bambu://"):
            return {}
        parts = urlsplit(path)
        if parts.username or parts.password:
            raise UsageError("an access code does not belong into a URL; give it as access_code or access_code_file")
        found: dict[str, Any] = {"host": parts.hostname}
        return found | ({"ftps_port": parts.port} if parts.port else {})

    # -- looking ---------------------------------------------------------------------------------------

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is at ``path``: name, size, type, mtime (a datetime in UTC)."""
        return _as_dict(self.printer.stat(self._strip_protocol(path)))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a folder, or the file itself."""
        place = self._strip_protocol(path)
        try:
            found = self.printer.scandir(place)
        except NotADirectoryError:
            found = [self.printer.stat(place)]
        return [_as_dict(info) if detail else info.path for info in found]

    def modified(self, path: str) -> datetime:
        """When the file was changed last, in UTC."""
        return self.printer.stat(self._strip_protocol(path)).modified

    # -- files -----------------------------------------------------------------------------------------

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True, **_: Any
    ) -> Any:
        if mode == "rb":
            return self.printer.open(path)
        if mode not in ("wb", "xb", "ab"):
            raise ValueError(f"a file on a printer cannot be opened with mode {mode!r}")
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        return _Written(self, path, start=mode == "ab" and self.exists(path), autocommit=autocommit)

    def store(self, source: Any, path: str, *, overwrite: bool = True) -> None:
        """Store a local file or a binary file object as ``path``; see `Printer.upload`."""
        if self._auto_mkdir:
            self.makedirs(self._parent(path), exist_ok=True)
        self.printer.upload(source, path, overwrite=overwrite)

    def get_file(self, rpath: str, lpath: Any, callback: Callback = DEFAULT_CALLBACK, **_: Any) -> None:
        """Fetch a file, or make the folder for one."""
        if hasattr(lpath, "write"):
            lpath.write(self.cat_file(rpath))
        elif self.isdir(rpath):
            os.makedirs(lpath, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            self.printer.download(self._strip_protocol(rpath), lpath, progress=_told(callback))

    def put_file(
        self, lpath: str, rpath: str, callback: Callback = DEFAULT_CALLBACK, mode: str = "overwrite", **_: Any
    ) -> None:
        """Store a file, or make a folder."""
        place = self._strip_protocol(rpath)
        if os.path.isdir(lpath):
            self.makedirs(place, exist_ok=True)
            return
        self.makedirs(self._parent(place), exist_ok=True)
        self.printer.upload(lpath, place, progress=_told(callback), overwrite=mode == "overwrite")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Store ``value`` as a file."""
        self.store(io.BytesIO(value), self._strip_protocol(path), overwrite=mode == "overwrite")

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy within the card. A printer cannot do that itself, so the file comes here and goes back."""
        place = self._strip_protocol(path2)
        if self.isdir(path1):
            self.makedirs(place, exist_ok=True)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = self.printer.download(self._strip_protocol(path1), os.path.join(folder, "copy"))
            self.makedirs(self._parent(place), exist_ok=True)
            self.printer.upload(copy, place)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        """Rename a file or folder."""
        self.printer.rename(self._strip_protocol(path1), self._strip_protocol(path2))

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file; without ``truncate`` give a file the present time, where the printer takes it."""
        if truncate or not self.exists(path):
            self.pipe_file(path, b"")
        else:
            self.printer.set_time(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        place = self._strip_protocol(path)
        try:
            self.printer.remove(place)
        except IsADirectoryError:
            self.printer.rmdir(place)

    # -- folders ---------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a folder."""
        self.printer.mkdir(self._strip_protocol(path), parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it."""
        self.printer.mkdir(self._strip_protocol(path), parents=True, exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self.printer.rmdir(self._strip_protocol(path))


_PRINTER_OPTIONS = frozenset(
    {"access_code_file", "serial", "ftps_port", "mqtt_port", "tls_trust", "tls_ca", "cache_dir"}
)


class _Written(io.BufferedRandom):
    """A file that is being written: in a temporary file, and stored on the printer when it is closed (or committed)."""

    def __init__(self, fs: BambuFileSystem, path: str, *, start: bool, autocommit: bool) -> None:
        number, self._place = tempfile.mkstemp(prefix="bambufs-")
        super().__init__(io.FileIO(number, "r+"))
        self._fs, self.path, self._autocommit = fs, path, False
        if start:
            self._begin_with_old()
        self._autocommit = autocommit

    def _begin_with_old(self) -> None:
        try:
            with self._fs.printer.open(self.path) as old:
                self.write(old.read())
        except BaseException:  # what there is is not what was there
            self.close()
            self.discard()
            raise

    def __exit__(self, *failure: object) -> None:
        if failure[0] is not None:  # what was written is not whole
            self._autocommit = False
            self.close()
            self.discard()
        else:
            self.close()

    def close(self) -> None:
        """Store what was written; raises as `Printer.upload` does."""
        if self.closed:
            return
        super().close()
        if self._autocommit:
            self.commit()

    def commit(self) -> None:
        """Store what was written."""
        try:
            self._fs.store(self._place, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget what was written."""
        if os.path.exists(self._place):
            os.unlink(self._place)


def _as_dict(info: FileInfo) -> dict[str, Any]:
    kind = "directory" if info.is_dir else "file"
    return {"name": info.path, "size": info.size, "type": kind, "mtime": info.modified}


def _told(callback: Callback) -> Progress:
    def progress(done: int, size: int) -> None:
        callback.set_size(size)
        callback.absolute_update(done)

    return progress
