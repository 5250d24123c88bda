"""Rows 14 to 17 and 20 to 23: which commands printers know, and what they make of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.box import refused
from tests.quirks.conftest import On
from tests.quirks.stand import KNOWN_VERBS, Stand
from tests.quirks.stand import stand as stand_with
from tests.support.needs import need
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
CONTENT = os.urandom(1_500_000)


def everything(stand: Stand) -> None:
    """What a day's work asks of a printer, from listing to deleting."""
    folder = stand.folder / "folder"
    folder.mkdir()
    (folder / "a.3mf").write_bytes(CONTENT)
    os.utime(folder / "a.3mf", (1_700_000_000, 1_700_000_000))
    (folder / "a.3mf").rename(folder / "b.3mf")
    (folder / "a.3mf").write_bytes(b"another")
    (folder / "a.3mf").rename(folder / "b.3mf")
    stand.refresh()
    assert os.listdir(folder) == ["b.3mf"]
    assert (folder / "b.3mf").read_bytes() == b"another"
    (folder / "b.3mf").unlink()
    folder.rmdir()
    assert not (stand.disk / "folder").exists()


@pytest.mark.parametrize("model", ["x1c", "p1s", "a1mini"])
def test_only_commands_that_every_printer_knows_are_sent(on: On, model: str) -> None:
    stand = on(model)
    stand.quirks["feat"] = stand.quirks["epsv"] = stand.quirks["appe"] = False

    everything(stand)

    sent = {command.verb for command in stand.sent()}
    assert sent <= KNOWN_VERBS - ({"REST"} if stand.quirks.family == "esp32" else set())
    assert not {"FEAT", "MLSD", "NLST", "PWD", "EPSV", "APPE"} & sent


def test_a_printer_that_cannot_start_in_the_middle_is_read_from_the_start(on: On) -> None:
    stand = on("p1s")
    place = stand.put("there.3mf", CONTENT)

    with open(place, "rb") as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == CONTENT[-1000:]
    assert place.read_bytes() == CONTENT

    assert len(stand.sent("RETR")) == 1
    assert stand.sent("REST") == []


def test_a_vsftpd_printer_that_cannot_start_in_the_middle_is_found_out(on: On) -> None:
    stand = on("h2s")
    stand.quirks["rest"] = False
    place = stand.put("there.3mf", CONTENT)

    with open(place, "rb") as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == CONTENT[-1000:]
    assert place.read_bytes() == CONTENT

    assert set(stand.codes("REST")) == {"502"}


# --- commands that some firmwares refuse ------------------------------------------------------------


def test_a_printer_that_makes_no_folders_says_so(on: On) -> None:
    stand = on("x1c")
    stand.quirks["refused"] = "MKD:502,RMD:502"
    stand.put("folder/x").unlink()

    with refused(errno.EOPNOTSUPP):
        (stand.folder / "new").mkdir()
    with refused(errno.EOPNOTSUPP):
        (stand.folder / "folder").rmdir()

    assert "does not know how to do that" in stand.said


@pytest.mark.parametrize(("model", "refusal"), [("a1", "RNFR:502"), ("p1p", "RNFR:550"), ("x1e", "RNTO:502")])
def test_files_get_onto_a_printer_that_does_not_rename(on: On, model: str, refusal: str) -> None:
    stand = on(model)
    stand.quirks["refused"] = refusal

    (stand.folder / "new.3mf").write_bytes(CONTENT)

    stand.wait_until_tidy()
    assert stand.holds("new.3mf", CONTENT)
    assert stand.uploads() == 2
    for name in ("second.3mf", "third.3mf"):
        (stand.folder / name).write_bytes(CONTENT)
        assert stand.holds(name, CONTENT)
    assert stand.uploads() == 5  # it was learnt
    assert "this printer does not rename" in stand.said


def test_mv_copies_where_the_printer_does_not_rename(on: On) -> None:
    stand = on("h2s")
    stand.quirks["refused"] = "RNFR"
    stand.put("folder/old.3mf", CONTENT)

    done = stand.run("mv folder/old.3mf new.3mf && mv folder moved")

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(item.name for item in stand.disk.iterdir()) == ["moved", "new.3mf"]
    assert stand.holds("new.3mf", CONTENT)


def test_half_a_file_does_not_stay_where_the_printer_does_not_rename(on: On) -> None:
    stand = on("h2s")
    stand.quirks["refused"] = "RNFR"
    for name in ("first.3mf", "second.3mf"):  # then it is known
        (stand.folder / name).write_bytes(CONTENT)
    stand.quirks["drop_after"] = 100_000

    with refused(errno.EIO):
        (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert {command.argument for command in stand.sent("STOR")[-2:]} == {f"{stand.name}/new.3mf"}
    stand.quirks["drop_after"] = 0
    wait_until(lambda: not (stand.disk / "new.3mf").exists(), "the half file to go")
    assert "what was written is kept in" in stand.said


@BOTH
@pytest.mark.parametrize("code", ["500", "502", "550"])
def test_a_printer_without_mdtm_has_times_remembered_here(on: On, model: str, code: str) -> None:
    stand = on(model)
    stand.quirks["refused"] = f"MDTM:{code}"

    (stand.folder / "new.3mf").write_bytes(CONTENT)
    os.utime(stand.folder / "new.3mf", (1_700_000_001, 1_700_000_001))
    stand.refresh()

    assert (stand.folder / "new.3mf").stat().st_mtime == 1_700_000_001


@BOTH
def test_a_printer_without_size_has_its_listing_believed(on: On, model: str) -> None:
    stand = on(model)
    stand.quirks["refused"] = "SIZE"

    (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert stand.holds("new.3mf", CONTENT)


# --- folders ----------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_went_away_is_missing_and_not_empty(on: On, model: str, empty: bool) -> None:
    stand = on(model)
    stand.quirks["missing_list_empty"] = empty
    stand.put("folder/x")
    assert os.listdir(stand.folder / "folder") == ["x"]
    (stand.disk / "folder/x").unlink()
    (stand.disk / "folder").rmdir()
    stand.refresh()

    with refused(errno.ENOENT):
        os.listdir(stand.folder / "folder")


@BOTH
def test_the_servers_own_folder_is_never_relied_on(on: On, model: str) -> None:
    stand = on(model)
    for name in ("pwd_quoted", "cwd_lost", "failed_cwd_moves"):
        stand.quirks[name] = name != "pwd_quoted"
    stand.put("one/x")
    stand.put("two/y")

    for _ in range(2):
        stand.refresh()
        assert os.listdir(stand.folder / "one") == ["x"]
        with refused(errno.ENOENT):
            os.listdir(stand.folder / "missing")
        assert os.listdir(stand.folder / "two") == ["y"]
        (stand.folder / "two/y").write_bytes(CONTENT)
        assert os.listdir(stand.folder) == ["one", "two"]

    assert stand.holds("two/y", CONTENT)
    pathless = [c for c in stand.sent() if c.verb in KNOWN_VERBS - {"LIST"} and c.argument[:1] not in ("/", "")]
    assert {command.verb for command in pathless} <= {"USER", "PASS", "TYPE", "PBSZ", "PROT", "REST", "MDTM"}


@BOTH
@pytest.mark.parametrize("over", [True, False])
def test_a_file_is_replaced_whether_or_not_the_printer_renames_over_it(on: On, model: str, over: bool) -> None:
    stand = on(model)
    stand.quirks["rename_over"] = over
    stand.put("new.3mf", b"new")
    place = stand.put("old.3mf", b"old")

    place.write_bytes(CONTENT)
    assert (stand.disk / "old.3mf").read_bytes() == CONTENT
    (stand.folder / "new.3mf").rename(place)

    stand.wait_until_tidy()
    assert [item.name for item in stand.disk.iterdir()] == ["old.3mf"]
    assert stand.holds("old.3mf", b"new")


def test_the_old_file_outlives_a_connection_that_breaks_while_it_is_replaced(on: On) -> None:
    stand = on("p1s")
    place = stand.put("old.3mf", b"old")
    drops: list[Callable[[], None]] = [stand.printer.drop_sessions]
    stand.printer.tamper("RNTO", reply=lambda raw: _first(drops, raw))

    place.write_bytes(CONTENT)

    stand.wait_until_tidy()
    assert stand.holds("old.3mf", CONTENT)


def _first(acts: list[Callable[[], None]], raw: bytes) -> bytes:
    if acts:
        from threading import Thread

        Thread(target=acts.pop()).start()
    return raw


@pytest.mark.parametrize(("model", "answers"), [("p1s", True), ("x1c", True), ("x1c", False)])
def test_a_folder_is_one_also_where_it_has_a_size(on: On, model: str, answers: bool) -> None:
    stand = on(model)
    stand.quirks["size_of_folder"] = answers
    stand.put("folder/x")

    assert (stand.folder / "folder").is_dir()
    with refused(errno.EISDIR):
        (stand.folder / "folder").write_bytes(b"x")


# --- ways of the small server -----------------------------------------------------------------------


def test_commands_go_one_by_one_to_a_printer_that_reads_one_at_a_time(on: On) -> None:
    stand = on("p1s")
    assert stand.quirks.flag("one_command_per_read")

    everything(stand)

    assert all(command.reply for command in stand.sent())


@pytest.mark.slow  # it is found out by waiting
def test_a_vsftpd_printer_that_reads_one_command_at_a_time_is_found_out(on: On) -> None:
    stand = on("h2s")
    stand.quirks["one_command_per_read"] = True
    stand.reconnect()

    everything(stand)


def test_a_careful_mount_asks_one_thing_at_a_time_and_none_ahead_of_need(tmp_path: Path) -> None:
    need("fuse3")
    with stand_with(tmp_path, "x1c", "fuse3", mqtt=False, arguments=("-o", "careful")) as stand:
        stand.quirks["one_command_per_read"] = True
        stand.begin()
        for name in ("a", "b", "c"):
            (stand.disk / name).mkdir()
        stand.refresh()

        assert stand.run("ls; ls a").stdout == "a\nb\nc\n"
        with open(stand.folder / "big.bin", "wb", buffering=0) as file:
            file.write(CONTENT * 2)
            assert stand.uploads() == 0
        everything(stand)

        listed = {command.argument for command in stand.sent("CWD")}
        assert not listed & {f"{stand.name}/b", f"{stand.name}/c"}
        assert all(command.reply for command in stand.sent())
        assert "sent together" not in stand.mount.log


@pytest.mark.parametrize("code", ["250", "257"])
def test_either_reply_to_mkd_is_a_yes(on: On, code: str) -> None:
    stand = on("p1s")
    stand.quirks["mkd_code"] = code

    (stand.folder / "new").mkdir()

    assert stand.codes("MKD") == [code]
    assert (stand.disk / "new").is_dir()


@BOTH
@pytest.mark.parametrize("terse", [True, False])
def test_replies_without_text_will_do(on: On, model: str, terse: bool) -> None:
    stand = on(model)
    stand.quirks["terse"] = terse
    stand.reconnect()

    everything(stand)


def test_no_path_ends_in_a_slash(on: On) -> None:
    stand = on("p1s")
    assert stand.quirks.flag("slash_does_nothing")

    stand.run("mkdir new/ && rmdir new/ && mkdir other/")

    assert [item.name for item in stand.disk.iterdir()] == ["other"]
    assert not [command for command in stand.sent() if command.argument.endswith("/") and command.argument != "/"]
