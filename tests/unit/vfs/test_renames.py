"""What renaming and deleting mean for files that are on the printer, open, dirty, or in the overlay."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from bambufs.errors import CardFull, InvalidName, PrinterBusy, PrinterUnreachable
from bambufs.printer.family import ESP32, VSFTPD
from bambufs.vfs import hiding, renames
from bambufs.vfs.filesystem import FileSystem
from tests.support.memory import MemoryPrinter
from tests.support.programs import content_of, exists, names, read, write
from tests.support.waiting import wait_until
from tests.unit.vfs.conftest import Mount

OLD = "/cache/old.3mf"
NEW = "/cache/new.3mf"
OTHER = "/model/other.3mf"
DOT = "/cache/.new.3mf.Ab12Cd"
HIDDEN = "/cache/.fuse_hidden0000000100000001"
EXACT = 1_234_567_890
BIG = bytes(range(256)) * 20_000

BOTH = pytest.mark.parametrize("family", ["vsftpd", "esp32"])


@pytest.fixture
def either(request: pytest.FixtureRequest, mount: Mount) -> tuple[FileSystem, MemoryPrinter]:
    """A file system on a printer of the family that the test names."""
    printer = MemoryPrinter({OLD: b"old content", OTHER: b"other content"})
    if request.getfixturevalue("family") == "esp32":
        printer.family = ESP32
    return mount(printer), printer


# --- files at rest ----------------------------------------------------------------------------------


@BOTH
def test_file_is_renamed(either: tuple[FileSystem, MemoryPrinter], family: str) -> None:
    fs, printer = either
    fs.rename(OLD, NEW)
    assert (printer.files.get(NEW), exists(fs, OLD), read(fs, NEW)) == (b"old content", False, b"old content")


@BOTH
def test_file_is_renamed_over_another(either: tuple[FileSystem, MemoryPrinter], family: str) -> None:
    fs, printer = either
    fs.rename(OLD, OTHER)
    assert read(fs, OTHER) == b"old content"
    wait_until(lambda: printer.files == {OTHER: b"old content"}, "nothing else to be left")


def test_content_is_not_fetched_to_rename(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.rename(OLD, NEW)
    assert (printer.count("RETR"), printer.count("STOR")) == (0, 0)


def test_old_content_of_the_replaced_file_is_not_shown(fs: FileSystem) -> None:
    read(fs, OTHER)
    fs.rename(OLD, OTHER)
    assert read(fs, OTHER) == b"old content"


def test_renamed_file_is_listed_at_once(fs: FileSystem) -> None:
    fs.readdir("/cache")
    fs.readdir("/model")
    fs.rename(OLD, "/model/new.3mf")
    assert (names(fs, "/cache"), names(fs, "/model")) == ([], ["new.3mf", "other.3mf"])


def test_renaming_asks_for_no_new_listing(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.readdir("/cache")
    before = printer.count("LIST")
    fs.rename(OLD, NEW)
    names(fs, "/cache")
    assert printer.count("LIST") == before


def test_exact_time_goes_along(fs: FileSystem) -> None:
    fs.utimens(OLD, EXACT)
    fs.rename(OLD, NEW)
    assert fs.getattr(NEW).mtime == EXACT


def test_exact_time_is_still_known_after_a_remount(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer)
    fs.utimens(OLD, EXACT)
    fs.rename(OLD, NEW)
    assert mount(printer).getattr(NEW).mtime == EXACT


def test_renaming_a_missing_file_is_told(fs: FileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        fs.rename("/cache/nope", NEW)


def test_existing_file_is_spared_when_told_so(fs: FileSystem, printer: MemoryPrinter) -> None:
    with pytest.raises(FileExistsError):
        fs.rename(OLD, OTHER, replace=False)
    assert printer.files[OTHER] == b"other content"


def test_renaming_to_itself_does_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.rename(OLD, OLD)
    assert printer.count("RENAME") == 0


@BOTH
def test_case_of_a_name_is_changed(either: tuple[FileSystem, MemoryPrinter], family: str) -> None:
    fs = either[0]
    fs.rename(OLD, "/cache/OLD.3mf")
    assert (names(fs, "/cache"), read(fs, "/cache/OLD.3mf")) == (["OLD.3mf"], b"old content")


def test_failed_rename_changes_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    printer.fail("RENAME", PrinterUnreachable("away"))
    with pytest.raises(PrinterUnreachable):
        fs.rename(OLD, NEW)
    assert (names(fs, "/cache"), read(fs, OLD)) == (["old.3mf"], b"old content")


def test_file_over_a_folder_is_refused(fs: FileSystem) -> None:
    with pytest.raises(IsADirectoryError):
        fs.rename(OLD, "/model")


# --- open files -------------------------------------------------------------------------------------


def test_reader_reads_on_after_a_rename(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files[OLD] = BIG
    fs = mount(printer)
    number = fs.open(OLD, os.O_RDONLY)
    fs.read(number, 10, 0)
    fs.rename(OLD, NEW)
    assert content_of(fs, number) == BIG
    fs.release(number)


def test_writer_writes_on_under_the_new_name(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new ", 0)
    fs.rename(NEW, "/model/new.3mf")
    fs.write(number, b"content", 4)
    fs.flush(number)
    fs.release(number)
    assert (NEW in printer.files, printer.files["/model/new.3mf"]) == (False, b"new content")


def test_file_never_stored_is_renamed_without_asking(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.rename(NEW, "/cache/newer.3mf")
    assert printer.count("RENAME") == 0
    fs.release(number)


def test_file_never_stored_replaces_another_when_it_is_stored(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.rename(NEW, OTHER)
    assert read(fs, OTHER) == b"new content"
    fs.flush(number)
    fs.release(number)
    assert printer.visible() == {OLD: b"old content", OTHER: b"new content"}


def test_changed_file_is_stored_under_its_new_name_alone(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_WRONLY)
    fs.write(number, b"OLD", 0)
    fs.rename(OLD, NEW)
    fs.flush(number)
    fs.release(number)
    assert printer.visible() == {NEW: b"OLD content", OTHER: b"other content"}


def test_file_whose_upload_runs_is_renamed(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    with ThreadPoolExecutor(1) as threads:
        with printer.gate("STOR") as gate:
            storing = threads.submit(fs.flush, number)
            assert gate.reached.wait(5)
            fs.rename(NEW, "/model/new.3mf")
        storing.result(10)
    fs.release(number)
    assert printer.visible() == {OLD: b"old content", OTHER: b"other content", "/model/new.3mf": b"new content"}


def test_file_whose_second_upload_runs_is_renamed(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"new content", 0)
    rename_while_its_upload_runs(fs, printer, number)
    fs.release(number)
    wait_until(lambda: printer.files == {NEW: b"new content", OTHER: b"other content"}, "the old name to go")


def rename_while_its_upload_runs(fs: FileSystem, printer: MemoryPrinter, number: int) -> None:
    """Store what is open as ``number``, which is renamed from OLD to NEW meanwhile."""
    with ThreadPoolExecutor(1) as threads:
        with printer.gate("STOR") as gate:
            storing = threads.submit(fs.flush, number)
            assert gate.reached.wait(5)
            fs.rename(OLD, NEW)
        storing.result(10)


@pytest.mark.parametrize("how", ["stored", "renamed"])
def test_new_file_by_the_old_name_of_one_whose_renaming_failed_stays(mount: Mount, how: str) -> None:
    printer = MemoryPrinter({OLD: b"old content", OTHER: b"another"}, family=ESP32)
    fs = mount(printer)
    number = fs.open(OLD, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"new content", 0)
    printer.fail("RENAME", PrinterUnreachable("away"), times=100)
    with pytest.raises(PrinterUnreachable):
        rename_while_its_upload_runs(fs, printer, number)
    printer.forgive()
    write(fs, OLD, b"another") if how == "stored" else fs.rename(OTHER, OLD)
    fs.write(number, b"NEW", 0)
    fs.flush(number)
    fs.release(number)
    fs.close()  # and with it what there is to tidy up
    assert (printer.files.get(OLD), printer.files.get(NEW)) == (b"another", b"NEW content")


def test_reader_of_a_replaced_file_never_reads_the_new_one(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files[OTHER] = BIG
    printer.files[OLD] = bytes(len(BIG))
    fs = mount(printer)
    number = fs.open(OTHER, os.O_RDONLY)
    assert fs.read(number, 10, 0) == BIG[:10]
    fs.rename(OLD, OTHER)
    assert tail_of(fs, number) in (BIG[-10:], None)
    fs.release(number)


def test_reader_of_a_file_replaced_by_a_dot_file_never_reads_the_new_one(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files[OTHER] = BIG
    fs = mount(printer)
    number = fs.open(OTHER, os.O_RDONLY)
    assert fs.read(number, 10, 0) == BIG[:10]
    write(fs, "/model/.tmp", bytes(len(BIG)))
    fs.rename("/model/.tmp", OTHER)
    assert tail_of(fs, number) in (BIG[-10:], None)
    fs.release(number)


@BOTH
def test_reader_of_a_file_replaced_by_a_dot_file_reads_on(mount: Mount, family: str) -> None:
    printer = MemoryPrinter({OLD: BIG}, family=ESP32 if family == "esp32" else VSFTPD)
    fs = mount(printer)
    number = fs.open(OLD, os.O_RDONLY)
    write(fs, DOT, b"new content")
    fs.rename(DOT, OLD)
    assert (content_of(fs, number) == BIG, read(fs, OLD)) == (True, b"new content")
    fs.release(number)
    wait_until(lambda: printer.files == {OLD: b"new content"}, "the old one to go")


# A file that shall be replaced stays until the other one has taken its place, also when somebody has it open.


def open_for_reading(fs: FileSystem) -> int:
    """Open a file of which something is still to be fetched."""
    return fs.open(OTHER, os.O_RDONLY)


def just_closed(fs: FileSystem) -> int:
    """Write to a file and close it, so that it is stored; the kernel releases it in its own time."""
    number = fs.open(OTHER, os.O_WRONLY | os.O_TRUNC)
    fs.write(number, b"other content", 0)
    fs.flush(number)
    return number


def just_read(fs: FileSystem) -> int:
    """The same after reading it to its end."""
    number = fs.open(OTHER, os.O_RDONLY)
    content_of(fs, number)
    return number


IN_USE = pytest.mark.parametrize("use", [open_for_reading, just_closed, just_read])


@BOTH
@IN_USE
@pytest.mark.parametrize("error", [CardFull("full"), PrinterUnreachable("away")], ids=repr)
def test_file_in_use_stays_when_what_replaces_it_cannot_be_stored(
    either: tuple[FileSystem, MemoryPrinter], family: str, use: Callable[[FileSystem], int], error: OSError
) -> None:
    fs, printer = either
    number = use(fs)
    write(fs, DOT, b"new content")
    printer.fail("STOR", error)
    with pytest.raises(type(error)):
        fs.rename(DOT, OTHER)
    fs.release(number)
    assert (read(fs, OTHER), read(fs, DOT)) == (b"other content", b"new content")
    fs.close()
    assert printer.files == {OLD: b"old content", OTHER: b"other content"}


@BOTH
@IN_USE
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_file_in_use_stays_when_the_printer_is_lost_while_it_is_replaced(
    either: tuple[FileSystem, MemoryPrinter], family: str, use: Callable[[FileSystem], int], steps: int
) -> None:
    fs, printer = either
    number = use(fs)
    printer.fail("RENAME", PrinterUnreachable("away"), after=steps)
    with suppress(PrinterUnreachable):
        fs.rename(OLD, OTHER)
    fs.release(number)
    is_done = not exists(fs, OLD)
    wait_until(lambda: read_or_not(fs, OTHER) == (b"old content" if is_done else b"other content"), "it to be there")
    fs.close()
    assert printer.files == ({} if is_done else {OLD: b"old content"}) | {OTHER: printer.files[OTHER]}


def read_or_not(fs: FileSystem, path: str) -> bytes:
    """The content of a file, or nothing while there is none."""
    try:
        return read(fs, path)
    except FileNotFoundError:
        return b""


# libfuse hides an open file before it asks for the rename that replaces it.

HIDDEN_OTHER = "/model/.fuse_hidden0000000100000001"


@BOTH
@IN_USE
@pytest.mark.parametrize("error", [CardFull("full"), PrinterUnreachable("away")], ids=repr)
@pytest.mark.parametrize("is_closed_meanwhile", [False, True])
def test_hidden_file_has_its_name_again_when_what_replaces_it_cannot_be_stored(
    either: tuple[FileSystem, MemoryPrinter],
    family: str,
    use: Callable[[FileSystem], int],
    error: OSError,
    is_closed_meanwhile: bool,
) -> None:
    fs, printer = either
    number = use(fs)
    write(fs, DOT, b"new content")
    printer.fail("STOR", error)

    def replace() -> None:
        fs.rename(OTHER, HIDDEN_OTHER)
        fs.rename(DOT, OTHER)

    with ThreadPoolExecutor(1) as threads:
        with printer.gate("STOR") as gate:
            replacing = threads.submit(replace)
            assert gate.reached.wait(5)
            if is_closed_meanwhile:
                close_hidden(fs, number)
        with pytest.raises(type(error)):
            replacing.result(10)
    if not is_closed_meanwhile:
        close_hidden(fs, number)
    wait_until(lambda: read_or_not(fs, OTHER) == b"other content", "it to be put back")
    fs.close()
    assert printer.files == {OLD: b"old content", OTHER: b"other content"}


def close_hidden(fs: FileSystem, number: int) -> None:
    """What libfuse does when nobody has a hidden file open any more."""
    fs.release(number)
    with suppress(FileNotFoundError):
        fs.unlink(HIDDEN_OTHER)


@BOTH
@IN_USE
def test_hidden_file_is_gone_when_the_other_has_taken_its_place(
    either: tuple[FileSystem, MemoryPrinter], family: str, use: Callable[[FileSystem], int]
) -> None:
    fs, printer = either
    number = use(fs)
    fs.rename(OTHER, HIDDEN_OTHER)
    fs.rename(OLD, OTHER)
    assert (content_of(fs, number), read(fs, OTHER)) == (b"other content", b"old content")
    close_hidden(fs, number)
    fs.close()
    assert printer.files == {OTHER: b"old content"}


def test_file_that_was_deleted_before_stays_so_when_a_rename_fails(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiding, "_AT_ONCE", 0.0)
    number = open_for_reading(fs)
    fs.rename(OTHER, HIDDEN_OTHER)
    printer.fail("RENAME", CardFull("full"))
    with pytest.raises(CardFull):
        fs.rename(OLD, OTHER)
    close_hidden(fs, number)
    fs.close()
    assert printer.files == {OLD: b"old content"}


@BOTH
def test_file_at_rest_stays_when_the_printer_is_lost_while_it_is_replaced(
    either: tuple[FileSystem, MemoryPrinter], family: str
) -> None:
    fs, printer = either
    printer.fail("RENAME", PrinterUnreachable("away"), after=int(family == "esp32"))
    with pytest.raises(PrinterUnreachable):
        fs.rename(OLD, OTHER)
    wait_until(lambda: printer.files == {OLD: b"old content", OTHER: b"other content"}, "it to be put back")
    assert read(fs, OTHER) == b"other content"


def tail_of(fs: FileSystem, number: int) -> bytes | None:
    """The last ten bytes behind a handle, or None for an honest error, which will do as well."""
    try:
        return fs.read(number, 10, len(BIG) - 10)
    except OSError:
        return None


# --- a printer with one connection: a file that is renamed while it is uploaded leaves its old version behind


@pytest.fixture
def esp32(mount: Mount) -> tuple[FileSystem, MemoryPrinter]:
    """A file system on a printer that does one thing at a time."""
    printer = MemoryPrinter({OLD: b"old content"}, family=ESP32)
    return mount(printer), printer


def test_new_file_under_the_old_name_of_one_that_was_being_uploaded_stays(
    esp32: tuple[FileSystem, MemoryPrinter],
) -> None:
    fs, printer = esp32
    with ThreadPoolExecutor(2) as threads:
        with printer.gate("STOR") as gate:
            first = threads.submit(write, fs, OLD, b"first")
            assert gate.reached.wait(5)
            fs.rename(OLD, NEW)
            second = threads.submit(write, fs, OLD, b"second")
            wait_until(lambda: fs.transfers().count("sending") == 2, "it to wait for its turn")
        first.result(10)
        second.result(10)
    fs.close()
    assert printer.files == {NEW: b"first", OLD: b"second"}


def test_case_of_a_name_is_changed_while_the_file_is_uploaded(esp32: tuple[FileSystem, MemoryPrinter]) -> None:
    # The card takes both names for one file.
    fs, printer = esp32
    with ThreadPoolExecutor(1) as threads:
        with printer.gate("STOR") as gate:
            storing = threads.submit(write, fs, OLD, b"first")
            assert gate.reached.wait(5)
            fs.rename(OLD, "/cache/OLD.3mf")
        storing.result(10)
    fs.close()
    assert (printer.files["/cache/OLD.3mf"], printer.count("DELE")) == (b"first", 0)


# --- deleting ---------------------------------------------------------------------------------------


def test_deleted_file_is_gone(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.unlink(OLD)
    assert (OLD in printer.files, names(fs, "/cache")) == (False, [])


def test_deleting_a_missing_file_is_told(fs: FileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        fs.unlink(NEW)


def test_deleting_a_folder_is_told(fs: FileSystem) -> None:
    with pytest.raises(IsADirectoryError):
        fs.unlink("/cache")


def test_failed_deletion_changes_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    printer.fail("DELE", PrinterUnreachable("away"))
    with pytest.raises(PrinterUnreachable):
        fs.unlink(OLD)
    assert names(fs, "/cache") == ["old.3mf"]


def delete_open(fs: FileSystem, path: str) -> None:
    """Delete a file that is open, as libfuse does it."""
    fs.rename(path, HIDDEN)


def test_reader_reads_on_after_a_deletion(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files[OLD] = BIG
    fs = mount(printer)
    number = fs.open(OLD, os.O_RDONLY)
    fs.read(number, 10, 0)
    delete_open(fs, OLD)
    assert content_of(fs, number) == BIG
    fs.release(number)


def test_file_deleted_while_open_is_not_listed(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    delete_open(fs, OLD)
    assert (names(fs, "/cache"), OLD in printer.files) == ([], False)
    fs.release(number)


def test_file_deleted_while_open_is_gone_after_its_close(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    delete_open(fs, OLD)
    fs.unlink(HIDDEN)
    fs.release(number)
    wait_until(lambda: printer.files == {OTHER: b"other content"}, "the hidden name to go")


def test_writer_of_a_deleted_file_stores_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_RDWR)
    fs.write(number, b"new content", 0)
    delete_open(fs, NEW)
    assert content_of(fs, number) == b"new content"
    fs.flush(number)
    fs.unlink(HIDDEN)
    fs.release(number)
    assert (printer.count("STOR"), printer.hidden()) == (0, [])


def test_name_of_a_deleted_open_file_is_free(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDONLY)
    delete_open(fs, OLD)
    write(fs, OLD, b"another")
    assert (read(fs, OLD), content_of(fs, number)) == (b"another", b"old content")
    fs.release(number)
    assert printer.visible()[OLD] == b"another"


def test_deleting_a_file_whose_upload_runs_stops_it(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    with ThreadPoolExecutor(2) as threads:
        with printer.gate("STOR") as gate:
            storing = threads.submit(fs.flush, number)
            assert gate.reached.wait(5)
            deleting = threads.submit(delete_open, fs, NEW)
        storing.result(10)
        deleting.result(10)
    fs.unlink(HIDDEN)
    fs.release(number)
    wait_until(lambda: printer.files == {OLD: b"old content", OTHER: b"other content"}, "it to be gone")


def test_deleting_a_file_never_stored_deletes_what_it_replaced(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.rename(NEW, OTHER)
    fs.rename(OTHER, "/model/.fuse_hidden0000000100000001")
    fs.unlink("/model/.fuse_hidden0000000100000001")
    fs.release(number)
    assert OTHER not in printer.files


def test_renaming_a_file_never_stored_away_leaves_nothing_of_what_it_replaced(
    fs: FileSystem, printer: MemoryPrinter
) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.rename(NEW, OTHER)
    fs.rename(OTHER, NEW)
    fs.flush(number)
    fs.release(number)
    assert OTHER not in printer.files


# --- dot names --------------------------------------------------------------------------------------


def test_dot_file_never_reaches_the_printer(fs: FileSystem, printer: MemoryPrinter) -> None:
    before = len(printer.verbs)
    write(fs, DOT, b"new content")
    assert read(fs, DOT) == b"new content"
    fs.rename(DOT, "/model/.elsewhere")
    fs.unlink("/model/.elsewhere")
    assert [verb for verb in printer.verbs[before:] if verb[0] not in ("LIST", "MDTM?")] == []


def test_dot_file_is_listed(fs: FileSystem) -> None:
    write(fs, DOT, b"new content")
    assert names(fs, "/cache") == [DOT.rpartition("/")[2], "old.3mf"]


def test_dot_file_survives_a_remount(mount: Mount, printer: MemoryPrinter) -> None:
    write(mount(printer), DOT, b"new content")
    assert read(mount(printer), DOT) == b"new content"


def test_dot_file_of_the_printer_is_not_shown(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files["/cache/.theirs"] = b"x"
    fs = mount(printer)
    assert (names(fs, "/cache"), exists(fs, "/cache/.theirs")) == (["old.3mf"], False)


def test_temp_file_of_rsync_is_uploaded_by_its_rename(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, DOT, b"new content")
    fs.utimens(DOT, EXACT)
    fs.rename(DOT, NEW)
    assert (printer.files[NEW], printer.times[NEW], printer.count("STOR")) == (b"new content", EXACT, 1)
    assert (fs.getattr(NEW).mtime, exists(fs, DOT)) == (EXACT, False)


def test_temp_file_of_rsync_replaces_the_old_file(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, DOT, b"new content")
    fs.rename(DOT, OLD)
    assert read(fs, OLD) == b"new content"
    assert printer.visible()[OLD] == b"new content"


@pytest.mark.parametrize("error", [CardFull("full"), PrinterUnreachable("away")], ids=repr)
def test_failed_upload_is_the_error_of_the_rename(fs: FileSystem, printer: MemoryPrinter, error: OSError) -> None:
    write(fs, DOT, b"new content")
    printer.fail("STOR", error)
    with pytest.raises(type(error)):
        fs.rename(DOT, OLD)
    assert (read(fs, DOT), read(fs, OLD)) == (b"new content", b"old content")


def test_dot_file_can_be_renamed_after_a_failure(fs: FileSystem, printer: MemoryPrinter) -> None:
    write(fs, DOT, b"new content")
    printer.fail("STOR", CardFull("full"))
    with pytest.raises(CardFull):
        fs.rename(DOT, NEW)
    fs.rename(DOT, NEW)
    assert printer.files[NEW] == b"new content"


def test_open_dot_file_becomes_visible(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(DOT, os.O_RDWR)
    fs.write(number, b"new ", 0)
    fs.rename(DOT, NEW)
    fs.write(number, b"content", 4)
    fs.flush(number)
    fs.release(number)
    assert printer.files[NEW] == b"new content"


def test_visible_file_becomes_a_dot_file(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.rename(OLD, DOT)
    assert (read(fs, DOT), OLD in printer.files, names(fs, "/cache")) == (
        b"old content",
        False,
        [DOT.rpartition("/")[2]],
    )


def test_open_visible_file_becomes_a_dot_file(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.open(OLD, os.O_RDWR)
    fs.write(number, b"OLD", 0)
    fs.rename(OLD, DOT)
    fs.flush(number)
    fs.release(number)
    assert (read(fs, DOT), OLD in printer.files) == (b"OLD content", False)


def test_file_that_cannot_be_fetched_stays_visible(fs: FileSystem, printer: MemoryPrinter) -> None:
    printer.fail("RETR", PrinterUnreachable("away"), times=3)
    with pytest.raises(PrinterUnreachable):
        fs.rename(OLD, DOT)
    assert (OLD in printer.files, exists(fs, DOT)) == (True, False)


def test_editor_saves_by_way_of_a_backup(fs: FileSystem, printer: MemoryPrinter) -> None:
    # vim: the old file becomes x~, the new one is written under the name, the backup is deleted.
    fs.rename(OLD, "/cache/old.3mf~")
    write(fs, OLD, b"new content")
    fs.unlink("/cache/old.3mf~")
    assert printer.visible() == {OLD: b"new content", OTHER: b"other content"}


def test_deleted_open_dot_file_is_of_use(fs: FileSystem) -> None:
    number = fs.create(DOT, os.O_RDWR)
    fs.write(number, b"scratch", 0)
    fs.rename(DOT, HIDDEN)
    assert content_of(fs, number) == b"scratch"
    fs.unlink(HIDDEN)
    fs.release(number)
    assert not exists(fs, DOT)


# --- folders ----------------------------------------------------------------------------------------


def test_folder_is_renamed_with_what_is_in_it(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.rename("/cache", "/jobs")
    assert (read(fs, "/jobs/old.3mf"), exists(fs, OLD)) == (b"old content", False)


def test_folder_takes_its_dot_files_along(fs: FileSystem) -> None:
    write(fs, DOT, b"new content")
    fs.rename("/cache", "/jobs")
    assert read(fs, "/jobs/.new.3mf.Ab12Cd") == b"new content"


def test_folder_takes_exact_times_along(fs: FileSystem) -> None:
    fs.utimens(OLD, EXACT)
    fs.rename("/cache", "/jobs")
    assert fs.getattr("/jobs/old.3mf").mtime == EXACT


def test_open_files_go_along_with_their_folder(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.rename("/cache", "/jobs")
    fs.flush(number)
    fs.release(number)
    assert printer.files["/jobs/new.3mf"] == b"new content"


def test_file_deleted_while_open_is_read_on_after_its_folder_was_renamed(
    mount: Mount, printer: MemoryPrinter
) -> None:
    printer.files[OLD] = BIG
    fs = mount(printer)
    number = fs.open(OLD, os.O_RDONLY)
    delete_open(fs, OLD)
    fs.rename("/cache", "/jobs")
    assert content_of(fs, number) == BIG
    fs.release(number)
    wait_until(lambda: printer.files == {OTHER: b"other content"}, "the hidden name to go")


def test_folder_waits_for_a_small_upload_into_it(fs: FileSystem, printer: MemoryPrinter) -> None:
    with ThreadPoolExecutor(2) as threads, printer.gate("STOR") as gate:
        storing = threads.submit(write, fs, NEW, b"new content")
        assert gate.reached.wait(5)
        moving = threads.submit(fs.rename, "/cache", "/moved")
        gate.release()
        storing.result(5)
        moving.result(5)
    assert printer.files["/moved/new.3mf"] == b"new content"


def test_folder_does_not_wait_for_a_long_upload_into_it(
    fs: FileSystem, printer: MemoryPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renames, "_UPLOAD_PATIENCE", 0.01)
    with ThreadPoolExecutor(1) as threads, printer.gate("STOR") as gate:
        storing = threads.submit(write, fs, NEW, b"new content")
        assert gate.reached.wait(5)
        with pytest.raises(PrinterBusy, match="is being uploaded"):
            fs.rename("/cache", "/moved")
        gate.release()
        storing.result(5)


def test_folder_is_renamed_over_an_empty_one(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.mkdir("/jobs")
    fs.rename("/cache", "/jobs")
    assert names(fs, "/jobs") == ["old.3mf"]


def test_folder_is_not_renamed_over_a_full_one(fs: FileSystem) -> None:
    with pytest.raises(OSError, match="not empty") as refused:
        fs.rename("/cache", "/model")
    assert refused.value.errno == errno.ENOTEMPTY


def test_folder_is_not_renamed_over_a_file(fs: FileSystem) -> None:
    with pytest.raises(NotADirectoryError):
        fs.rename("/cache", OTHER)


def test_folder_is_not_moved_into_itself(fs: FileSystem) -> None:
    with pytest.raises(InvalidName):
        fs.rename("/cache", "/cache/sub")


def test_folder_is_not_moved_below_a_file(fs: FileSystem) -> None:
    with pytest.raises(NotADirectoryError):
        fs.rename("/cache", f"{OTHER}/sub")


def test_folder_becomes_no_dot_folder(fs: FileSystem) -> None:
    # `mv` then copies.
    with pytest.raises(OSError, match="link") as refused:
        fs.rename("/cache", "/.cache")
    assert refused.value.errno == errno.EXDEV


def test_dot_folder_is_renamed_with_what_is_in_it(fs: FileSystem) -> None:
    fs.mkdir("/.git")
    write(fs, "/.git/config", b"x")
    fs.rename("/.git", "/cache/.git2")
    assert (read(fs, "/cache/.git2/config"), exists(fs, "/.git")) == (b"x", False)


def test_open_file_in_a_dot_folder_goes_along(fs: FileSystem) -> None:
    fs.mkdir("/.git")
    number = fs.create("/.git/index", os.O_WRONLY)
    fs.write(number, b"one", 0)
    fs.rename("/.git", "/.git2")
    fs.write(number, b"two", 3)
    fs.flush(number)
    fs.release(number)
    assert read(fs, "/.git2/index") == b"onetwo"


@pytest.mark.parametrize(
    "act",
    [
        lambda fs: fs.rename(OLD, "/cache/a:b"),
        lambda fs: write(fs, "/cache/a:b", b"x"),
        lambda fs: fs.mkdir("/cache/a:b"),
    ],
)
def test_name_that_the_card_cannot_store_is_refused_without_asking(
    fs: FileSystem, printer: MemoryPrinter, act: Callable[[FileSystem], None]
) -> None:
    fs.readdir("/cache")
    before = len(printer.verbs)
    with pytest.raises(InvalidName):
        act(fs)
    assert printer.verbs[before:] == []


# --- files that are just being closed: the kernel releases them in its own time -----------------------


def test_dot_file_that_is_released_while_its_rename_uploads_is_stored(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(DOT, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.flush(number)
    with ThreadPoolExecutor() as pool, printer.gate("STOR") as gate:
        rename = pool.submit(fs.rename, DOT, NEW)
        assert gate.reached.wait(5)
        fs.release(number)
        gate.release()
        rename.result(5)
    assert (printer.files[NEW], read(fs, NEW), exists(fs, DOT)) == (b"new content", b"new content", False)


def test_time_set_just_after_a_dot_file_was_released_stays(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(DOT, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.flush(number)
    fs.release(number)
    fs.utimens(DOT, EXACT)
    assert fs.getattr(DOT).mtime == EXACT
    fs.rename(DOT, NEW)
    assert fs.getattr(NEW).mtime == EXACT


@BOTH
def test_time_stays_when_a_file_becomes_a_dot_name_and_back(
    either: tuple[FileSystem, MemoryPrinter], family: str
) -> None:
    fs, _ = either
    fs.utimens(OLD, EXACT)
    number = fs.open(OLD, os.O_RDONLY)
    content_of(fs, number)
    fs.rename(OLD, DOT)
    fs.rename(DOT, NEW)
    fs.rename(NEW, DOT)
    assert fs.getattr(DOT).mtime == EXACT
    fs.flush(number)
    fs.release(number)
    assert fs.getattr(DOT).mtime == EXACT


def test_open_file_is_listed_under_its_new_name_although_its_folder_was_forgotten(fs: FileSystem) -> None:
    names(fs, "/model")
    number = fs.open(OLD, os.O_RDONLY)
    fs.forget("/cache")
    fs.rename(OLD, OTHER)
    fs.flush(number)
    fs.release(number)
    assert fs.getattr(OTHER).size == len(b"old content")
    assert read(fs, OTHER) == b"old content"


def test_open_dot_file_is_stored_after_its_folder_was_renamed(fs: FileSystem, printer: MemoryPrinter) -> None:
    number = fs.create(DOT, os.O_WRONLY)
    fs.write(number, b"new content", 0)
    fs.rename("/cache", "/moved")
    fs.rename(DOT.replace("/cache/", "/moved/"), "/model/new.3mf")
    fs.flush(number)
    fs.release(number)
    assert printer.files["/model/new.3mf"] == b"new content"
    assert read(fs, "/model/new.3mf") == b"new content"
