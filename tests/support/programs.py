"""What programs do with files, spelled out in the verbs of `FileSystem`."""

from __future__ import annotations

import os

from bambufs.vfs.filesystem import FileSystem


def write(fs: FileSystem, path: str, content: bytes, *, flags: int = os.O_WRONLY | os.O_TRUNC) -> None:
    """Write a file as ``cp`` does: create or empty it, write, close. Raises what a program would see."""
    number = fs.create(path, flags)
    try:
        if content:
            fs.write(number, content, 0)
        fs.flush(number)
    finally:
        fs.release(number)


def read(fs: FileSystem, path: str) -> bytes:
    """Read a file as ``cat`` does."""
    number = fs.open(path, os.O_RDONLY)
    try:
        return content_of(fs, number)
    finally:
        fs.flush(number)
        fs.release(number)


def content_of(fs: FileSystem, number: int) -> bytes:
    """All that is behind a handle."""
    content = b""
    while block := fs.read(number, 131072, len(content)):
        content += block
    return content


def names(fs: FileSystem, folder: str) -> list[str]:
    """List a folder as ``ls -A`` does."""
    return [name for name, _ in fs.readdir(folder)]


def exists(fs: FileSystem, path: str) -> bool:
    """Whether ``stat`` finds something."""
    try:
        fs.getattr(path)
    except FileNotFoundError:
        return False
    return True
