"""What only a real mount can show: calls that no verb of the file system has, and what the kernel makes of them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import threading

import pytest

from tests.contract.box import Box, refused
from tests.contract.roots import RENAME_EXCHANGE, RENAME_NOREPLACE, MountedRoot, rename_with_flags
from tests.support.waiting import wait_until


def test_a_symbolic_link_is_eperm(mount_box: Box) -> None:
    with refused(errno.EPERM):
        os.symlink("target", mount_box.path("link"))


def test_a_hard_link_is_eperm(mount_box: Box) -> None:
    mount_box.put("a.txt")

    with refused(errno.EPERM):
        os.link(mount_box.path("a.txt"), mount_box.path("b.txt"))


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR], ids=["fifo", "socket", "device"])
def test_a_special_file_is_eperm(mount_box: Box, kind: int) -> None:
    with refused(errno.EPERM):
        os.mknod(mount_box.path("special"), kind | 0o600, os.makedev(1, 3))


def test_chmod_succeeds_and_changes_nothing(mount_box: Box) -> None:
    mount_box.put("a.txt")
    before = mount_box.path("a.txt").stat().st_mode

    mount_box.path("a.txt").chmod(0o400)

    assert mount_box.path("a.txt").stat().st_mode == before


def test_chown_succeeds_and_changes_nothing(mount_box: Box) -> None:
    mount_box.put("a.txt")
    before = mount_box.path("a.txt").stat()

    new = (12345, 12345) if os.geteuid() == 0 else (os.getuid(), os.getgid())  # all that the kernel lets others ask
    os.chown(mount_box.path("a.txt"), *new)

    after = mount_box.path("a.txt").stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_everything_belongs_to_who_mounted(mount_box: Box) -> None:
    mount_box.put("folder/a.txt")

    found = [mount_box.path(name).stat() for name in ("folder", "folder/a.txt")]

    assert {(status.st_uid, status.st_gid) for status in found} == {(os.getuid(), os.getgid())}


def test_files_and_folders_have_constant_modes(mount_box: Box) -> None:
    mount_box.put("folder/a.txt")
    os.mkdir(mount_box.path("private"), 0o700)

    assert stat.S_ISREG(mount_box.path("folder/a.txt").stat().st_mode)
    assert stat.S_ISDIR(mount_box.path("folder").stat().st_mode)
    assert mount_box.path("private").stat().st_mode == mount_box.path("folder").stat().st_mode


def test_extended_attributes_are_not_supported(mount_box: Box) -> None:
    mount_box.put("a.txt")

    with refused(errno.ENOTSUP):
        os.setxattr(mount_box.path("a.txt"), "user.comment", b"x")


def test_exchanging_two_files_is_einval_and_harms_neither(mount_box: Box) -> None:
    mount_box.put("a.txt", b"a")
    mount_box.put("b.txt", b"b")

    with refused(errno.EINVAL):
        rename_with_flags(str(mount_box.path("a.txt")), str(mount_box.path("b.txt")), RENAME_EXCHANGE)

    assert (mount_box.card("a.txt"), mount_box.card("b.txt")) == (b"a", b"b")


def test_noreplace_refuses_a_target_that_the_kernel_has_not_looked_up(mount_box: Box) -> None:
    mount_box.put("a.txt", b"a")
    mount_box.put("b.txt", b"b")

    with refused(errno.EEXIST):
        rename_with_flags(str(mount_box.path("a.txt")), str(mount_box.path("b.txt")), RENAME_NOREPLACE)

    assert (mount_box.card("a.txt"), mount_box.card("b.txt")) == (b"a", b"b")


def test_a_file_can_be_mapped_for_reading(mount_box: Box) -> None:
    content = os.urandom(300_000)
    mount_box.put("a.bin", content)

    # In another process: a page fault would hold the interpreter that serves the simulated printer.
    command = [sys.executable, "-c", _READ_MAPPED, str(mount_box.path("a.bin"))]
    done = subprocess.run(command, capture_output=True, check=True)

    assert done.stdout == content


_READ_MAPPED = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
    sys.stdout.buffer.write(view[:])
"""


def test_closing_a_copy_of_a_descriptor_uploads_and_closing_the_other_does_not_repeat_it(mount_box: Box) -> None:
    fd = os.open(mount_box.path("a.txt"), os.O_WRONLY | os.O_CREAT)
    copy = os.dup(fd)
    os.write(fd, b"content")
    os.close(copy)
    uploaded = mount_box.card("a.txt")
    os.close(fd)

    assert uploaded == b"content"
    assert len(mount_box.stored()) == 1


def test_many_threads_write_their_own_files_at_once(mount_box: Box) -> None:
    contents = {f"{number}.bin": os.urandom(100_000 + number) for number in range(12)}
    writers = [
        threading.Thread(target=mount_box.path(name).write_bytes, args=(data,)) for name, data in contents.items()
    ]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert {name: mount_box.card(name) for name in mount_box.card_names()} == contents


def test_many_threads_read_one_file_at_once(mount_box: Box) -> None:
    content = os.urandom(1_000_000)
    mount_box.put("a.bin", content)
    seen: list[bytes] = []
    readers = [threading.Thread(target=lambda: seen.append(mount_box.path("a.bin").read_bytes())) for _ in range(10)]

    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert len(seen) == 10
    assert set(seen) == {content}


def test_a_file_in_use_stays_when_what_shall_replace_it_is_gone(mount_box: Box) -> None:
    mount_box.put("a.txt", b"old content")
    mount_box.put("b.txt", b"new content")
    with open(mount_box.path("a.txt"), "rb") as reader:
        assert mount_box.path("b.txt").stat().st_size == 11
        (mount_box.disk / "b.txt").unlink()

        with refused(errno.ENOENT):
            os.rename(mount_box.path("b.txt"), mount_box.path("a.txt"))

        assert reader.read() == b"old content"
    wait_until(lambda: mount_box.holds("a.txt", b"old content"), "it to be put back")
    wait_until(mount_box.path("a.txt").exists, "it to show again")
    assert mount_box.path("a.txt").read_bytes() == b"old content"


SET = 1_700_000_000


def test_what_could_not_be_stored_is_not_shown(mount_box: Box) -> None:
    mount_box.put("a.txt", b"old content", SET)
    assert mount_box.path("a.txt").read_bytes() == b"old content"
    fd = os.open(mount_box.path("a.txt"), os.O_RDWR)
    os.write(fd, b"NEW")
    shutil.rmtree(mount_box.disk)

    with pytest.raises(OSError, match="Errno"):
        os.close(fd)
    mount_box.put("a.txt", b"old content", SET)

    assert mount_box.path("a.txt").read_bytes() == b"old content"


def test_what_a_killed_program_wrote_is_not_shown(mount_box: Box) -> None:
    mount_box.put("a.txt", b"old content")
    assert mount_box.path("a.txt").read_bytes() == b"old content"
    command = [sys.executable, "-c", _WRITE_AND_WAIT, str(mount_box.path("a.txt"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.kill()

    assert (mount_box.path("a.txt").read_bytes(), mount_box.card("a.txt")) == (b"old content", b"old content")


_WRITE_AND_WAIT = """
import os, sys
os.write(os.open(sys.argv[1], os.O_RDWR), b"NEW")
print("written", flush=True)
sys.stdin.read()
"""


def grow(box: Box, name: str) -> None:
    """Let the printer replace a file whose size the kernel has just been told by a longer one."""
    box.put(name, b"old")
    assert box.path(name).stat().st_size == 3
    box.put(name, b"new and longer")
    assert isinstance(box.root, MountedRoot)
    if not box.root.passes_rename_flags:  # libfuse 2 cannot make the kernel forget the size, which holds it for 0.05 s
        wait_until(lambda: box.path(name).stat().st_size > 3, "its size to show")


def test_a_file_that_has_grown_on_the_printer_is_read_to_its_end(mount_box: Box) -> None:
    grow(mount_box, "a.txt")

    assert mount_box.path("a.txt").read_bytes() == b"new and longer"


def test_what_is_appended_to_a_file_that_has_grown_on_the_printer_goes_to_its_end(mount_box: Box) -> None:
    grow(mount_box, "a.txt")

    with open(mount_box.path("a.txt"), "ab") as file:
        file.write(b"!")

    assert mount_box.card("a.txt") == b"new and longer!"


def test_sizes_in_blocks_are_plausible(mount_box: Box) -> None:
    mount_box.put("a.bin", bytes(100_000))

    assert 100_000 <= mount_box.path("a.bin").stat().st_blocks * 512 <= 110_000


def test_a_folder_that_is_being_read_shows_what_changed_since(mount_box: Box) -> None:
    # The kernel takes a part of a folder at a time, sizes and all; what it was told may not be from before a change.
    names = [f"f{number:03}.txt" for number in range(100)]
    for name in names:
        mount_box.put(f"many/{name}", b"old")

    sizes: dict[str, int] = {}
    with os.scandir(mount_box.path("many")) as entries:
        for entry in entries:
            if not sizes:
                mount_box.path("many/f090.txt").write_bytes(b"new and longer")
                mount_box.path("many/f091.txt").unlink()
            with contextlib.suppress(FileNotFoundError):
                sizes[entry.name] = entry.stat().st_size

    assert sizes == {name: 3 for name in names if name != "f091.txt"} | {"f090.txt": len(b"new and longer")}
    assert not mount_box.path("many/f091.txt").exists()
    assert sorted(os.listdir(mount_box.path("many"))) == sorted(sizes)
