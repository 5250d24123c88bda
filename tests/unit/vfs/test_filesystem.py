"""The rules of the mount: what is refused, what is shown, and what is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from bambufs.errors import InvalidName, LoginRefused, NameTooLong, PrinterTimeout, PrinterUnreachable
from bambufs.printer.family import ESP32
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.overlay import Overlay
from tests.support.clock import Clock
from tests.support.memory import UPLOADED, MemoryPrinter
from tests.support.programs import exists, names, read, write
from tests.support.threads import Threads
from tests.unit.vfs.conftest import Mount

OLD = "/cache/old.3mf"
NEW = "/cache/new.3mf"
Act = Callable[[FileSystem], object]


def refused(fs: FileSystem, act: Act) -> int | None:
    """The errno with which ``act`` is refused."""
    with pytest.raises(OSError, match=r".") as error:
        act(fs)
    return error.value.errno


# --- looking ----------------------------------------------------------------------------------------


def test_root_is_a_folder(fs: FileSystem) -> None:
    assert fs.getattr("/").is_dir


@pytest.mark.parametrize("looks_ahead", [True, False])
def test_folders_of_a_printer_with_one_connection_are_seen_ahead_unless_it_shall_not(
    mount: Mount, looks_ahead: bool
) -> None:
    printer = MemoryPrinter({"/model/x": b"x"}, family=ESP32)
    fs = mount(printer, looks_ahead=looks_ahead)
    scouts = Threads()
    fs.look_ahead()
    assert bool(scouts.named("bambufs-scout")) is looks_ahead


def test_root_has_the_time_of_the_mount(fs: FileSystem, clock: Clock) -> None:
    assert fs.getattr("/").mtime == int(clock.now)


def test_file_is_shown(fs: FileSystem) -> None:
    assert fs.getattr(OLD)[:3] == (False, 11, UPLOADED)


def test_folder_is_shown(fs: FileSystem) -> None:
    assert fs.getattr("/cache")[:2] == (True, 0)


@pytest.mark.parametrize("path", ["/nope", "/cache/nope", "/nope/nope", "/.nope", "/cache/old.3mf/x"])
def test_missing_name_is_told(fs: FileSystem, path: str) -> None:
    assert refused(fs, lambda fs: fs.getattr(path)) == errno.ENOENT


def test_folder_is_listed_in_order(mount: Mount) -> None:
    fs = mount(MemoryPrinter({f"/cache/{name}": b"" for name in ("b", "a", "C")}))
    assert names(fs, "/cache") == ["C", "a", "b"]


def test_listing_tells_what_getattr_tells(fs: FileSystem) -> None:
    assert dict(fs.readdir("/cache"))["old.3mf"] == fs.getattr(OLD)


@pytest.mark.parametrize(("path", "code"), [("/nope", errno.ENOENT), (OLD, errno.ENOTDIR), ("/.nope", errno.ENOENT)])
def test_what_is_no_folder_is_not_listed(fs: FileSystem, path: str, code: int) -> None:
    assert refused(fs, lambda fs: fs.readdir(path)) == code


def test_look_ups_after_a_listing_cost_nothing(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.readdir("/cache")
    before = len(printer.verbs)
    fs.getattr(OLD)
    exists(fs, NEW)
    exists(fs, "/cache/.hidden")
    assert len(printer.verbs) == before


def test_change_of_the_printers_is_shown_after_a_while(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    fs.readdir("/cache")
    printer.files["/cache/timelapse.mp4"] = b"video"
    clock.now += 5.0
    assert "timelapse.mp4" in names(fs, "/cache")


def test_change_of_the_printers_is_shown_at_once_when_asked_for(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.readdir("/cache")
    printer.files["/cache/timelapse.mp4"] = b"video"
    fs.forget("/cache/timelapse.mp4")
    assert "timelapse.mp4" in names(fs, "/cache")


def test_content_that_the_printer_changed_is_fetched_anew(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    read(fs, OLD)
    printer.files[OLD], printer.times[OLD] = b"NEW CONTENT", UPLOADED + 86400
    clock.now += 5.0
    assert read(fs, OLD) == b"NEW CONTENT"


def test_old_listing_serves_while_the_printer_is_away(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    fs.readdir("/cache")
    clock.now += 60.0
    printer.fail("LIST", PrinterUnreachable("away"), times=10)
    assert names(fs, "/cache") == ["old.3mf"]


@pytest.mark.parametrize("error", [PrinterUnreachable("away"), PrinterTimeout("late"), LoginRefused("no")], ids=repr)
def test_printer_that_cannot_be_asked_is_told(fs: FileSystem, printer: MemoryPrinter, error: OSError) -> None:
    printer.fail("LIST", error, times=10)
    assert refused(fs, lambda fs: fs.readdir("/model")) == error.errno


def test_name_that_is_not_utf_8_is_of_use(mount: Mount) -> None:
    printer = MemoryPrinter({"/cache/gr\udcf6\udcdfe": b"content"})
    fs = mount(printer)
    assert (names(fs, "/cache"), read(fs, "/cache/gr\udcf6\udcdfe")) == (["gr\udcf6\udcdfe"], b"content")
    fs.rename("/cache/gr\udcf6\udcdfe", "/cache/größe")
    assert list(printer.files) == ["/cache/größe"]


# --- room -------------------------------------------------------------------------------------------


def test_room_is_the_cards_size_less_what_is_listed(mount: Mount, printer: MemoryPrinter) -> None:
    printer.files[OLD] = bytes(8192)
    fs = mount(printer, card_size=4096 * 100)
    fs.readdir("/cache")
    assert fs.statfs() == (4096, 100, 98)


def test_room_is_never_nothing(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer, card_size=1)
    fs.readdir("/cache")
    space = fs.statfs()
    assert (space.blocks > 0, space.free > 0) == (True, True)


# --- names ------------------------------------------------------------------------------------------

MAKE: list[Act] = [
    lambda fs: fs.create("/cache/OLD.3mf", os.O_WRONLY),
    lambda fs: fs.mkdir("/cache/OLD.3mf"),
    lambda fs: fs.rename("/model/other.3mf", "/cache/Old.3MF"),
    lambda fs: fs.create("/CACHE", os.O_WRONLY),
]


@pytest.mark.parametrize("act", MAKE)
def test_name_that_differs_by_case_only_exists(fs: FileSystem, act: Act) -> None:
    assert refused(fs, act) == errno.EEXIST


@pytest.mark.parametrize("act", MAKE)
def test_refusal_names_what_is_there(fs: FileSystem, act: Act) -> None:
    with pytest.raises(FileExistsError, match=r"old\.3mf|cache"):
        act(fs)


def test_name_that_differs_by_case_only_from_one_being_written_exists(fs: FileSystem) -> None:
    number = fs.create(NEW, os.O_WRONLY)
    assert refused(fs, lambda fs: fs.create("/cache/NEW.3mf", os.O_WRONLY)) == errno.EEXIST
    fs.release(number)


def test_letters_that_only_fold_alike_are_two_names(fs: FileSystem) -> None:
    write(fs, "/cache/straße", b"x")
    write(fs, "/cache/strasse", b"y")
    assert read(fs, "/cache/straße") == b"x"


def test_dot_names_tell_upper_from_lower_case(fs: FileSystem) -> None:
    write(fs, "/cache/.x", b"x")
    write(fs, "/cache/.X", b"y")
    assert read(fs, "/cache/.x") == b"x"


@pytest.mark.parametrize("name", ["a:b", "a?b", 'a"b', "a*b", "a<b", "a|b", "a\\b", "dot.", "blank ", "a\nb", "\x07"])
def test_name_that_the_card_cannot_store_is_einval(fs: FileSystem, name: str) -> None:
    assert refused(fs, lambda fs: fs.create(f"/cache/{name}", os.O_WRONLY)) == errno.EINVAL


def test_name_that_is_too_long_is_told(fs: FileSystem) -> None:
    with pytest.raises(NameTooLong):
        fs.create("/cache/" + "x" * 256, os.O_WRONLY)


def test_path_that_is_too_long_for_an_esp32_is_told(mount: Mount) -> None:
    fs = mount(MemoryPrinter(family=ESP32))
    with pytest.raises(NameTooLong):
        fs.create("/cache/" + "x" * 110, os.O_WRONLY)


def test_that_path_is_good_for_a_vsftpd(fs: FileSystem) -> None:
    write(fs, "/cache/" + "x" * 110, b"x")


@pytest.mark.parametrize("path", ["/.a\nb", "/cache/.a\rb"])
def test_dot_name_with_a_line_break_is_refused(fs: FileSystem, path: str) -> None:
    with pytest.raises(InvalidName):
        fs.create(path, os.O_WRONLY)


IN_NOWHERE: list[tuple[Act, int]] = [
    (lambda fs: fs.create("/nope/x", os.O_WRONLY), errno.ENOENT),
    (lambda fs: fs.mkdir("/nope/x"), errno.ENOENT),
    (lambda fs: fs.rename(OLD, "/nope/x"), errno.ENOENT),
    (lambda fs: fs.create(f"{OLD}/x", os.O_WRONLY), errno.ENOTDIR),
    (lambda fs: fs.mkdir(f"{OLD}/x"), errno.ENOTDIR),
    (lambda fs: fs.create("/nope/.x", os.O_WRONLY), errno.ENOENT),
    (lambda fs: fs.create("/.nope/x", os.O_WRONLY), errno.ENOENT),
]


@pytest.mark.parametrize(("act", "code"), IN_NOWHERE)
def test_name_in_no_folder_is_refused(fs: FileSystem, act: Act, code: int) -> None:
    assert refused(fs, act) == code


@pytest.mark.parametrize("act", [lambda fs: fs.unlink("/"), lambda fs: fs.rmdir("/"), lambda fs: fs.rename("/", "/x")])
def test_root_stays(fs: FileSystem, act: Act) -> None:
    assert refused(fs, act) in (errno.EBUSY, errno.EISDIR)


# --- folders ----------------------------------------------------------------------------------------


def test_folder_is_made(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.mkdir("/cache/new")
    assert ("/cache/new" in printer.folders, names(fs, "/cache")) == (True, ["new", "old.3mf"])


@pytest.mark.parametrize("path", ["/cache", OLD, "/"])
def test_folder_that_is_there_is_told(fs: FileSystem, path: str) -> None:
    assert refused(fs, lambda fs: fs.mkdir(path)) in (errno.EEXIST, errno.EBUSY)


def test_empty_folder_is_removed(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.mkdir("/new")
    fs.rmdir("/new")
    assert ("/new" in printer.folders, exists(fs, "/new")) == (False, False)


def test_full_folder_is_not_removed(fs: FileSystem) -> None:
    assert refused(fs, lambda fs: fs.rmdir("/cache")) == errno.ENOTEMPTY


def test_folder_with_a_file_being_written_is_not_removed(fs: FileSystem) -> None:
    fs.mkdir("/new")
    number = fs.create("/new/x", os.O_WRONLY)
    assert refused(fs, lambda fs: fs.rmdir("/new")) == errno.ENOTEMPTY
    fs.release(number)


def test_folder_with_somebodys_dot_file_is_not_removed(fs: FileSystem) -> None:
    fs.mkdir("/new")
    write(fs, "/new/.precious", b"x")
    assert refused(fs, lambda fs: fs.rmdir("/new")) == errno.ENOTEMPTY


@pytest.mark.parametrize("name", [".DS_Store", "._benchy", ".directory"])
def test_folder_with_litter_is_removed(fs: FileSystem, name: str) -> None:
    fs.mkdir("/new")
    write(fs, f"/new/{name}", b"x")
    fs.rmdir("/new")
    fs.mkdir("/new")
    assert names(fs, "/new") == []


def test_folder_with_litter_on_the_printer_is_removed(mount: Mount, printer: MemoryPrinter) -> None:
    printer.folders.add("/new")
    printer.files["/new/.bambufs-0123abcd.part"] = b"half"
    mount(printer).rmdir("/new")
    assert "/new" not in printer.folders


@pytest.mark.parametrize(
    ("path", "code"), [("/nope", errno.ENOENT), (OLD, errno.ENOTDIR), ("/.nope", errno.ENOENT)]
)
def test_what_is_no_folder_is_not_removed(fs: FileSystem, path: str, code: int) -> None:
    assert refused(fs, lambda fs: fs.rmdir(path)) == code


def test_dot_folder_is_made_and_removed_here(fs: FileSystem, printer: MemoryPrinter) -> None:
    fs.mkdir("/.git")
    fs.rmdir("/.git")
    assert (printer.count("MKD"), exists(fs, "/.git")) == (0, False)


@pytest.mark.parametrize("path", ["/.Trash", "/.Trash-1000", "/cache/.Trash-0"])
def test_trash_is_refused_so_that_desktops_delete(fs: FileSystem, path: str) -> None:
    assert refused(fs, lambda fs: fs.mkdir(path)) == errno.EPERM


# --- read-only --------------------------------------------------------------------------------------

CHANGES: list[Act] = [
    lambda fs: fs.create(NEW, os.O_WRONLY),
    lambda fs: fs.create("/.x", os.O_WRONLY),
    lambda fs: fs.open(OLD, os.O_WRONLY),
    lambda fs: fs.open(OLD, os.O_RDWR),
    lambda fs: fs.truncate(OLD, 0),
    lambda fs: fs.unlink(OLD),
    lambda fs: fs.mkdir("/new"),
    lambda fs: fs.rmdir("/cache"),
    lambda fs: fs.rename(OLD, NEW),
    lambda fs: fs.utimens(OLD, 5),
    lambda fs: fs.check_settable(OLD),
]


@pytest.mark.parametrize("act", CHANGES)
def test_change_of_a_read_only_mount_is_erofs(mount: Mount, printer: MemoryPrinter, act: Act) -> None:
    before = dict(printer.files)
    assert refused(mount(printer, read_only=True), act) == errno.EROFS
    assert printer.files == before


def test_read_only_mount_is_read(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer, read_only=True)
    assert (names(fs, "/cache"), read(fs, OLD)) == (["old.3mf"], b"old content")


# --- ghost prints -------------------------------------------------------------------------------------

WARNING = "may start printing"


@pytest.mark.parametrize("name", ["benchy.3mf", "benchy.gcode.3mf", "BENCHY.3MF"])
def test_3mf_in_the_root_of_an_esp32_is_warned_of(
    mount: Mount, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(mount(MemoryPrinter(family=ESP32)), f"/{name}", b"x")
    assert WARNING in caplog.text


def test_warning_is_given_once(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    fs = mount(MemoryPrinter(family=ESP32))
    for number in range(3):
        write(fs, f"/{number}.3mf", b"x")
    assert caplog.text.count(WARNING) == 1


def test_rename_into_the_root_is_warned_of(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    mount(MemoryPrinter({OLD: b"x"}, family=ESP32)).rename(OLD, "/old.3mf")
    assert WARNING in caplog.text


@pytest.mark.parametrize("path", ["/cache/benchy.3mf", "/model/benchy.3mf", "/benchy.txt", "/.benchy.3mf"])
def test_other_files_of_an_esp32_are_not_warned_of(
    mount: Mount, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(mount(MemoryPrinter(family=ESP32)), path, b"x")
    assert WARNING not in caplog.text


def test_vsftpd_is_not_warned_of(fs: FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    write(fs, "/benchy.3mf", b"x")
    assert WARNING not in caplog.text


# --- attributes -------------------------------------------------------------------------------------


def test_attributes_of_a_missing_file_cannot_be_set(fs: FileSystem) -> None:
    assert refused(fs, lambda fs: fs.check_settable("/nope")) == errno.ENOENT


def test_time_of_the_root_is_accepted(fs: FileSystem) -> None:
    fs.utimens("/", 5)


def test_time_of_a_folder_is_remembered(fs: FileSystem) -> None:
    fs.utimens("/cache", 1_234_567_890)
    assert fs.getattr("/cache").mtime == 1_234_567_890


def test_folder_just_made_keeps_the_time_that_it_is_shown_with(
    fs: FileSystem, printer: MemoryPrinter, clock: Clock
) -> None:
    made = int(clock())
    fs.mkdir("/model/parts")
    clock.now += 3
    fs.forget()
    assert fs.getattr("/model/parts").mtime == made

    printer.times["/model/parts"] = UPLOADED + 5 * 86400
    fs.forget()
    assert fs.getattr("/model/parts").mtime // 86400 == UPLOADED // 86400 + 5


def test_access_is_a_matter_of_being_there(fs: FileSystem) -> None:
    fs.access(OLD, os.R_OK | os.W_OK | os.X_OK)
    assert refused(fs, lambda fs: fs.access("/nope", os.F_OK)) == errno.ENOENT


def test_statistics_can_be_told_as_json(fs: FileSystem) -> None:
    import json

    read(fs, OLD)
    assert json.loads(json.dumps(fs.statistics()))["bytes_cached"] == 11


def test_file_that_is_stored_during_a_listing_is_in_it(fs: FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    names(fs, "/cache")
    number, looking = fs.create("/cache/new.3mf", os.O_WRONLY), Overlay.names

    def meanwhile(self: Overlay, folder: str) -> list[str]:
        fs.flush(number)
        fs.release(number)
        return looking(self, folder)

    monkeypatch.setattr(Overlay, "names", meanwhile)
    assert "new.3mf" in names(fs, "/cache")
