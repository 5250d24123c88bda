"""The random operations: each is done on the mount and in the model."""

from __future__ import annotations

import errno
import mmap
import os

from tests.fsx.machine import FOLDERS, MOST, Machine, Operation
from tests.fsx.model import Opened, is_local


def create(machine: Machine) -> None:
    """Make a new file."""
    path = machine.some_path(there=False)
    if path is not None:
        flags = os.O_CREAT | machine.random.choice((0, os.O_EXCL, os.O_TRUNC))
        machine.open(path, machine.random.choice(("w", "rw", "rwa")), flags)


def create_where_one_is(machine: Machine) -> None:
    """O_EXCL refuses it."""
    path = machine.some_path(there=True)
    if path is not None:
        where = machine.at(path)
        machine.note(path)
        machine.refused(errno.EEXIST, lambda: os.open(where, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def reopen(machine: Machine) -> None:
    """Open a file that is there."""
    path = machine.some_path(there=True)
    if path is not None:
        machine.open(path, machine.random.choice(("r", "r", "w", "rw", "rwa")), 0)


def reopen_emptied(machine: Machine) -> None:
    """Open a file with O_TRUNC, as `cp` and every shell do."""
    path = machine.some_path(there=True)
    if path is not None:
        machine.tree.files[path].empty()
        machine.open(path, machine.random.choice(("w", "rw")), os.O_TRUNC)


def open_missing(machine: Machine) -> None:
    """A name that is not there."""
    path = machine.some_path(there=False)
    if path is not None:
        where = machine.at(path)
        machine.note(path)
        machine.refused(errno.ENOENT, lambda: os.open(where, os.O_RDONLY))


def close_one(machine: Machine) -> None:
    """Close a descriptor."""
    opened = machine.some_opened("")
    if opened is not None:
        machine.note(machine.tree.path_of(opened.file), opened.ways)
        machine.close(opened)


def close_a_copy(machine: Machine) -> None:
    """dup(2) and close, as shells do right after opening."""
    opened = machine.some_opened("w")
    if opened is not None:
        machine.note(machine.tree.path_of(opened.file))
        os.close(os.dup(opened.fd))
        if not opened.file.is_late:
            machine.is_stored(opened.file)


def read(machine: Machine) -> None:
    """pread(2) somewhere, also behind the end."""
    opened = machine.some_opened("r")
    if opened is not None:
        offset, size = machine.some_place(len(opened.file.content) + 5000), machine.random.randrange(1, 140_000)
        machine.note(machine.tree.path_of(opened.file), offset, size)
        expected = opened.file.content[offset : offset + size]
        machine.compare("what was read", os.pread(opened.fd, size, offset), expected)


def read_again_from_the_driver(machine: Machine) -> None:
    """Read a file whose pages the kernel has forgotten."""
    opened = machine.some_opened("r")
    if opened is not None:
        machine.note(machine.tree.path_of(opened.file))
        os.posix_fadvise(opened.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        machine.compare("what was read", os.pread(opened.fd, MOST + 100_000, 0), opened.file.content)


def write(machine: Machine) -> None:
    """pwrite(2) somewhere, also behind the end; with O_APPEND, write(2)."""
    opened = machine.some_opened("w")
    if opened is None:
        return
    data, end = machine.some_bytes(), len(opened.file.content)
    offset = end if "a" in opened.ways else machine.some_place(end + machine.random.choice((0, 0, 10_000)))
    machine.note(machine.tree.path_of(opened.file), offset, len(data))
    if offset + len(data) > MOST:
        return
    written = os.write(opened.fd, data) if "a" in opened.ways else os.pwrite(opened.fd, data, offset)
    machine.compare("what was written", written, len(data))
    opened.file.write(data, offset)


def cut_open_file(machine: Machine) -> None:
    """ftruncate(2), shorter or longer."""
    opened = machine.some_opened("w")
    if opened is not None:
        length = machine.some_place(min(MOST, len(opened.file.content) + machine.random.choice((0, 0, 9000))))
        machine.note(machine.tree.path_of(opened.file), length)
        os.ftruncate(opened.fd, length)
        opened.file.truncate(length)


def cut_by_path(machine: Machine) -> None:
    """truncate(2): on the printer at once, unless somebody writes to the file."""
    path = machine.some_path(there=True)
    if path is not None:
        file = machine.tree.files[path]
        length = machine.some_place(min(MOST, len(file.content) + machine.random.choice((0, 0, 9000))))
        machine.note(path, length)
        os.truncate(machine.at(path), length)
        file.truncate(length)
        if not machine.is_open_for_writing(file):
            machine.is_stored(file)


def map_for_reading(machine: Machine) -> None:
    """Read through shared memory, which is the other half of the page cache."""
    opened = machine.some_opened("r")
    if opened is not None and opened.file.content:
        machine.note(machine.tree.path_of(opened.file))
        with mmap.mmap(opened.fd, len(opened.file.content), prot=mmap.PROT_READ) as memory:
            machine.compare("what is mapped", bytes(memory), opened.file.content)
        _closed_a_copy(machine, opened)


def map_for_writing(machine: Machine) -> None:
    """Write through shared memory, with and without msync(2)."""
    opened = machine.some_opened("rw")
    if opened is not None and opened.file.content:
        size = len(opened.file.content)
        offset = machine.some_place(size - 1)
        data = machine.some_bytes(20_000)[: size - offset]
        machine.note(machine.tree.path_of(opened.file), offset, len(data))
        with mmap.mmap(opened.fd, size) as memory:
            memory[offset : offset + len(data)] = data
            opened.file.write(data, offset)
            if machine.random.randrange(2):
                memory.flush()
                machine.is_stored(opened.file, by_now=True)
        _closed_a_copy(machine, opened)


def _closed_a_copy(machine: Machine, opened: Opened) -> None:
    """Python maps a copy of the descriptor, and closes it."""
    if "w" in opened.ways and not opened.file.is_late:
        machine.is_stored(opened.file)


def sync(machine: Machine) -> None:
    """fsync(2): on the printer afterwards, whoever asks."""
    opened = machine.some_opened("")
    if opened is not None:
        machine.note(machine.tree.path_of(opened.file))
        os.fsync(opened.fd)
        machine.is_stored(opened.file, by_now=True)


def look(machine: Machine) -> None:
    """stat(2) and fstat(2)."""
    path, opened = machine.some_path(there=True), machine.some_opened("")
    if path is not None:
        machine.note(path)
        machine.compare("size", os.stat(machine.at(path)).st_size, len(machine.tree.files[path].content))
    if opened is not None and not opened.file.is_out_of_sight:
        machine.compare("size by descriptor", os.fstat(opened.fd).st_size, len(opened.file.content))


def list_folder(machine: Machine) -> None:
    """readdir(3)."""
    folder = machine.random.choice(["", *sorted(machine.tree.folders)])
    machine.note(folder)
    machine.compare("names", set(os.listdir(machine.at(folder))), machine.tree.names(folder))


def set_time(machine: Machine) -> None:
    """utimensat(2), as `cp -p` and `touch` do."""
    path = machine.some_path(there=True)
    if path is not None:
        mtime = machine.random.randrange(1_500_000_000, 1_750_000_000)
        machine.note(path, mtime)
        os.utime(machine.at(path), (mtime, mtime))
        machine.tree.files[path].mtime = mtime
        machine.compare("time", os.stat(machine.at(path)).st_mtime_ns, mtime * 10**9)


def rename(machine: Machine) -> None:
    """rename(2), over an existing file too, from and to dot names, open or not."""
    old, new = machine.some_path(there=True), machine.some_path()
    if old is None or new is None or old == new:
        return
    machine.note(old, new)
    os.rename(machine.at(old), machine.at(new))
    file = machine.tree.files.pop(old)
    if new in machine.tree.files:
        machine.tree.delete(new)
    machine.tree.files[new] = file
    if is_local(new):
        file.is_stored = file.is_late = False
    elif is_local(old) or file.is_stored:
        machine.is_stored(file)
        if not machine.sends_later:
            machine.compare(f"{old} on the card", None if is_local(old) else machine.on_card(old), None)


def rename_missing(machine: Machine) -> None:
    """A name that is not there."""
    old, new = machine.some_path(there=False), machine.some_path()
    if old is not None and new is not None:
        here, there = machine.at(old), machine.at(new)
        machine.note(old, new)
        machine.refused(errno.ENOENT, lambda: os.rename(here, there))


def delete(machine: Machine) -> None:
    """unlink(2); whoever has it open goes on."""
    path = machine.some_path(there=True)
    if path is not None:
        machine.note(path)
        os.unlink(machine.at(path))
        machine.tree.delete(path)
        machine.compare(f"{path} on the card", machine.on_card(path), None)


def make_folder(machine: Machine) -> None:
    """mkdir(2)."""
    folder = machine.random.choice(FOLDERS)
    machine.note(folder)
    if folder in machine.tree.folders:
        machine.refused(errno.EEXIST, lambda: os.mkdir(machine.at(folder)))
    else:
        os.mkdir(machine.at(folder))
        machine.tree.folders.add(folder)


def remove_folder(machine: Machine) -> None:
    """rmdir(2)."""
    folder = machine.random.choice(FOLDERS)
    machine.note(folder)
    if folder not in machine.tree.folders:
        machine.refused(errno.ENOENT, lambda: os.rmdir(machine.at(folder)))
    elif machine.tree.names(folder):
        machine.refused(errno.ENOTEMPTY, lambda: os.rmdir(machine.at(folder)))
    else:
        os.rmdir(machine.at(folder))
        machine.tree.remove_folder(folder)


def rename_folder(machine: Machine) -> None:
    """rename(2) of a folder with all that is in it, open or not."""
    old, new = machine.random.sample(FOLDERS, 2)
    if old in machine.tree.folders and new not in machine.tree.folders:
        machine.note(old, new)
        os.rename(machine.at(old), machine.at(new))
        machine.tree.move_folder(old, new)


def forget_everything(machine: Machine) -> None:
    """Have the driver ask the printer anew."""
    (machine.mount / ".bambufs" / "refresh").write_text("/\n")


OPERATIONS: dict[Operation, int] = {
    create: 8,
    create_where_one_is: 1,
    reopen: 8,
    reopen_emptied: 3,
    open_missing: 1,
    close_one: 12,
    close_a_copy: 1,
    read: 16,
    read_again_from_the_driver: 3,
    write: 18,
    cut_open_file: 4,
    cut_by_path: 2,
    map_for_reading: 3,
    map_for_writing: 4,
    sync: 2,
    look: 6,
    list_folder: 3,
    set_time: 3,
    rename: 7,
    rename_missing: 1,
    delete: 3,
    make_folder: 2,
    remove_folder: 1,
    rename_folder: 1,
    forget_everything: 1,
}
"""What is done, and how often in relation to each other."""
