"""Everyday programs on a mount: they end well, and the card holds what they were told to put there."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.box import Box
from tests.support.needs import need
from tests.support.waiting import wait_until

SET = 1_700_000_001

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Run a program; fail with its words unless it ends with 0 and says nothing on stderr."""

    def run_program(*command: str | Path, text: str | None = None) -> str:
        need(str(command[0]))
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.returncode} {done.stderr}"
        return done.stdout

    return run_program


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files in folders, with times of their own."""
    top = tmp_path / "tree"
    for number in range(12):
        file = top / f"folder {number % 3}" / f"plate_{number}.gcode.3mf"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(5000 + number))
        os.utime(file, (SET + number, SET + number))
    return top


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below ``folder`` by their path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_cp_puts_a_file_on_the_card(mount_box: Box, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "benchy.3mf"
    source.write_bytes(os.urandom(2_000_000))

    run("cp", source, mount_box.path())

    assert mount_box.card("benchy.3mf") == source.read_bytes()
    assert len(mount_box.stored()) == 1


def test_cp_gets_a_file_off_the_card(mount_box: Box, tmp_path: Path, run: Run) -> None:
    mount_box.put("benchy.3mf", os.urandom(2_000_000))

    run("cp", mount_box.path("benchy.3mf"), tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == mount_box.card("benchy.3mf")


def test_cp_p_keeps_the_time(mount_box: Box, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "benchy.3mf"
    source.write_bytes(b"content")
    os.utime(source, (SET, SET))

    run("cp", "-p", source, mount_box.path())

    assert mount_box.keeps_time("benchy.3mf", SET)
    assert mount_box.path("benchy.3mf").stat().st_mtime == SET


def test_cp_within_the_mount_copies(mount_box: Box, run: Run) -> None:
    mount_box.put("a.3mf", os.urandom(300_000))

    run("cp", mount_box.path("a.3mf"), mount_box.path("b.3mf"))

    assert mount_box.card("b.3mf") == mount_box.card("a.3mf")


def test_cp_r_copies_a_tree(mount_box: Box, tree: Path, run: Run) -> None:
    run("cp", "-r", tree, mount_box.path())

    assert content_of(mount_box.disk / "tree") == content_of(tree)


def test_cp_a_copies_a_tree_with_its_times(mount_box: Box, tree: Path, run: Run) -> None:
    run("cp", "-a", tree, mount_box.path())

    assert content_of(mount_box.disk / "tree") == content_of(tree)
    assert mount_box.keeps_time("tree/folder 0/plate_3.gcode.3mf", SET + 3)


def test_mv_into_the_mount_moves(mount_box: Box, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "benchy.3mf"
    source.write_bytes(os.urandom(300_000))
    content = source.read_bytes()

    run("mv", source, mount_box.path())

    assert mount_box.card("benchy.3mf") == content
    assert not source.exists()


def test_mv_out_of_the_mount_moves(mount_box: Box, tmp_path: Path, run: Run) -> None:
    content = os.urandom(300_000)
    mount_box.put("benchy.3mf", content)

    run("mv", mount_box.path("benchy.3mf"), tmp_path)

    assert (tmp_path / "benchy.3mf").read_bytes() == content
    assert mount_box.card_names() == []


def test_mv_of_a_tree_inside_the_mount_moves_all(mount_box: Box, run: Run) -> None:
    mount_box.put("a/x/one.3mf", b"1")
    mount_box.put("a/y/two.3mf", b"2")

    run("mv", mount_box.path("a"), mount_box.path("b"))

    assert content_of(mount_box.disk) == {"b/x/one.3mf": b"1", "b/y/two.3mf": b"2"}


def test_rm_r_removes_a_tree(mount_box: Box, run: Run) -> None:
    for number in range(10):
        mount_box.put(f"a/{number % 2}/{number}.3mf", b"x")

    run("rm", "-r", mount_box.path("a"))

    assert mount_box.card_names() == []


def test_rsync_a_copies_a_tree_with_its_times(mount_box: Box, tree: Path, run: Run) -> None:
    run("rsync", "-a", f"{tree}/", f"{mount_box.path('tree')}/")

    assert content_of(mount_box.disk / "tree") == content_of(tree)
    assert mount_box.keeps_time("tree/folder 1/plate_1.gcode.3mf", SET + 1)


def test_rsync_a_costs_one_upload_a_file_under_a_part_of_its_final_name(mount_box: Box, tree: Path, run: Run) -> None:
    run("rsync", "-a", f"{tree}/", f"{mount_box.path('tree')}/")

    assert len(mount_box.stored()) == 12
    assert sorted(mount_box.renamed_to()) == sorted(f"tree/{name}" for name in content_of(tree))
    assert sorted(content_of(mount_box.disk / "tree")) == sorted(content_of(tree))


def test_a_second_rsync_a_sends_nothing(mount_box: Box, tree: Path, run: Run) -> None:
    run("rsync", "-a", f"{tree}/", f"{mount_box.path('tree')}/")
    sent = len(mount_box.stored())

    said = run("rsync", "-a", "--itemize-changes", f"{tree}/", f"{mount_box.path('tree')}/")

    assert [line for line in said.splitlines() if line.startswith((">f", "<f", "cf"))] == []
    assert len(mount_box.stored()) == sent


def test_rsync_off_the_card_gets_a_tree_with_its_times(mount_box: Box, tmp_path: Path, run: Run) -> None:
    mount_box.put("tree/a/one.3mf", b"one")
    mount_box.put("tree/b/two.3mf", b"two")
    os.utime(mount_box.path("tree/a/one.3mf"), (SET, SET))

    run("rsync", "-a", f"{mount_box.path('tree')}/", f"{tmp_path / 'copy'}/")

    assert content_of(tmp_path / "copy") == {"a/one.3mf": b"one", "b/two.3mf": b"two"}
    assert (tmp_path / "copy/a/one.3mf").stat().st_mtime == SET


def test_rsync_delete_makes_the_card_equal_to_the_source(mount_box: Box, tree: Path, run: Run) -> None:
    mount_box.put("tree/stale/old.3mf", b"old")
    mount_box.put("tree/folder 0/plate_0.gcode.3mf", b"old")

    run("rsync", "-a", "--delete", f"{tree}/", f"{mount_box.path('tree')}/")

    assert content_of(mount_box.disk / "tree") == content_of(tree)


def test_rsync_inplace_updates_a_file(mount_box: Box, tmp_path: Path, run: Run) -> None:
    mount_box.put("a.3mf", b"old content that is longer than the new")
    source = tmp_path / "a.3mf"
    source.write_bytes(b"new content")

    run("rsync", "-a", "--inplace", source, mount_box.path())

    assert mount_box.card("a.3mf") == b"new content"
    assert mount_box.card_names() == ["a.3mf"]


@pytest.mark.parametrize("content", [b"", b"content"], ids=["untouched", "written"])
@pytest.mark.parametrize("name", ["a.3mf", ".DS_Store"])
def test_what_was_just_made_can_be_removed_at_once(mount_box: Box, name: str, content: bytes) -> None:
    # The kernel tells of a close in its own time, so what comes after it may overtake it.
    for number in range(30):
        folder = mount_box.path(f"folder {number}")
        folder.mkdir()
        (folder / name).write_bytes(content)
        if not name.startswith("."):
            (folder / name).unlink()
        folder.rmdir()

    assert mount_box.root.names(mount_box.at()) == []
    wait_until(lambda: mount_box.card_names() == [], "the card to be empty")


def test_times_set_right_after_closing_stay_on_the_way_to_the_final_name(mount_box: Box) -> None:
    # As rsync does it, many times over.
    for number in range(60):
        temporary, final = mount_box.path(f".{number}.tmp"), mount_box.path(f"{number}.3mf")
        temporary.write_bytes(b"content")
        os.utime(temporary, (SET + 2 * number, SET + 2 * number))
        temporary.rename(final)

    times = [int(mount_box.path(f"{number}.3mf").stat().st_mtime) for number in range(60)]
    assert times == [SET + 2 * number for number in range(60)]


def test_tar_x_unpacks_with_times(mount_box: Box, tree: Path, tmp_path: Path, run: Run) -> None:
    with tarfile.open(tmp_path / "tree.tar", "w") as archive:
        archive.add(tree, "tree")

    run("tar", "-x", "-f", tmp_path / "tree.tar", "-C", mount_box.path())

    assert content_of(mount_box.disk / "tree") == content_of(tree)
    assert mount_box.keeps_time("tree/folder 2/plate_5.gcode.3mf", SET + 5)


def test_tar_c_packs_what_is_on_the_card(mount_box: Box, tmp_path: Path, run: Run) -> None:
    mount_box.put("tree/a.3mf", os.urandom(100_000))

    run("tar", "-c", "-f", tmp_path / "tree.tar", "-C", mount_box.path(), "tree")

    with tarfile.open(tmp_path / "tree.tar") as archive:
        member = archive.extractfile("tree/a.3mf")
        assert member is not None
        assert member.read() == mount_box.card("tree/a.3mf")


def test_sed_i_edits_in_place(mount_box: Box, run: Run) -> None:
    mount_box.put("a.gcode", b"G28\nM104 S200\n")

    run("sed", "-i", "s/S200/S215/", mount_box.path("a.gcode"))

    assert mount_box.card("a.gcode") == b"G28\nM104 S215\n"
    assert mount_box.card_names() == ["a.gcode"]


def test_vim_saves_one_whole_file_and_no_litter(mount_box: Box, run: Run) -> None:
    mount_box.put("a.gcode", b"G28\nM104 S200\n")

    run("vim", "-Nu", "NONE", "-es", "-c", "%s/S200/S215/", "-c", "wq", mount_box.path("a.gcode"))

    assert mount_box.card("a.gcode") == b"G28\nM104 S215\n"
    assert mount_box.card_names() == ["a.gcode"]
    assert mount_box.root.names(mount_box.at()) == ["a.gcode"]


def test_vim_with_backups_beside_the_file_saves_one_whole_file(mount_box: Box, run: Run) -> None:
    mount_box.put("a.gcode", b"G28\n")
    settings = "set backup writebackup backupcopy=no swapfile undofile backupdir=. directory=. undodir=."

    run("vim", "-Nu", "NONE", "-es", "-c", settings, "-c", "normal oG29", "-c", "wq", mount_box.path("a.gcode"))

    assert mount_box.card("a.gcode") == b"G28\nG29\n"


def test_saving_as_gedit_does_leaves_one_file(mount_box: Box) -> None:
    mount_box.put("a.txt", b"old")
    temporary = mount_box.path(".goutputstream-4X7B12")

    with open(temporary, "xb") as file:
        file.write(b"new content")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(mount_box.path("a.txt"))

    assert mount_box.card("a.txt") == b"new content"
    assert mount_box.card_names() == ["a.txt"]


def test_dd_with_fsync_writes_all(mount_box: Box, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(1_000_000))

    command = ["dd", f"if={source}", f"of={mount_box.path('a.bin')}", "bs=64k", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)

    assert mount_box.card("a.bin") == source.read_bytes()


def test_dd_with_seek_and_notrunc_writes_into_the_middle(mount_box: Box, tmp_path: Path) -> None:
    mount_box.put("a.bin", bytes(10_000))
    source = tmp_path / "piece"
    source.write_bytes(b"\xff" * 1000)

    where = ["bs=1000", "seek=5", "conv=notrunc", "status=none"]
    subprocess.run(["dd", f"if={source}", f"of={mount_box.path('a.bin')}", *where], check=True)

    assert mount_box.card("a.bin") == bytes(5000) + b"\xff" * 1000 + bytes(4000)


def test_unzip_lists_and_extracts_from_a_3mf(mount_box: Box, tmp_path: Path, run: Run) -> None:
    picture = os.urandom(30_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Metadata/plate_1.gcode", os.urandom(1_000_000))
        archive.writestr("Metadata/plate_1.png", picture)
    mount_box.put("benchy.gcode.3mf", packed.getvalue())

    assert "Metadata/plate_1.png" in run("unzip", "-l", mount_box.path("benchy.gcode.3mf"))
    run("unzip", "-q", mount_box.path("benchy.gcode.3mf"), "Metadata/plate_1.png", "-d", tmp_path)

    assert (tmp_path / "Metadata/plate_1.png").read_bytes() == picture


def test_a_zip_is_made_on_the_card(mount_box: Box) -> None:
    with zipfile.ZipFile(mount_box.path("a.3mf"), "w") as archive:
        archive.writestr("Metadata/plate_1.gcode", b"G28\n" * 10_000)

    with zipfile.ZipFile(mount_box.disk / "a.3mf") as archive:
        assert archive.testzip() is None


def test_touch_creates_an_empty_file(mount_box: Box, run: Run) -> None:
    run("touch", mount_box.path("new.txt"))

    wait_until(lambda: mount_box.card_names() == ["new.txt"], "the file to be on the card")


def test_touch_d_sets_the_time(mount_box: Box, run: Run) -> None:
    mount_box.put("a.txt", b"content")

    run("touch", "-d", f"@{SET}", mount_box.path("a.txt"))

    assert mount_box.keeps_time("a.txt", SET)


def test_touch_makes_the_time_now(mount_box: Box, run: Run) -> None:
    mount_box.put("a.txt", b"content", mtime=SET)

    run("touch", mount_box.path("a.txt"))

    assert mount_box.path("a.txt").stat().st_mtime > SET + 1_000_000
    assert mount_box.card("a.txt") == b"content"


def test_a_shell_writes_and_appends(mount_box: Box, run: Run) -> None:
    target = mount_box.path("log.txt")

    run("sh", "-c", f"echo one > '{target}' && echo two >> '{target}' && echo three >> '{target}'")

    assert mount_box.card("log.txt") == b"one\ntwo\nthree\n"


def test_find_finds_everything(mount_box: Box, run: Run) -> None:
    mount_box.put("a/b/c.3mf")
    mount_box.put("d.3mf")

    found = run("find", mount_box.path(), "-name", "*.3mf")

    assert sorted(found.split()) == sorted([str(mount_box.path("a/b/c.3mf")), str(mount_box.path("d.3mf"))])


def test_du_counts_what_is_there(mount_box: Box, run: Run) -> None:
    mount_box.put("a.bin", bytes(1_000_000))

    assert int(run("du", "-sb", "--apparent-size", mount_box.path("a.bin")).split()[0]) == 1_000_000


def test_df_shows_a_size_and_room(mount_box: Box, run: Run) -> None:
    total, free = run("df", "-B1", "--output=size,avail", mount_box.path()).split()[-2:]

    assert 0 < int(free) <= int(total)


def test_ls_l_shows_every_name(mount_box: Box, run: Run) -> None:
    for name in ("a.3mf", " b.3mf", "ü.3mf"):
        mount_box.put(name)

    assert len(run("ls", "-lA", mount_box.path()).splitlines()) == 4


def test_cmp_finds_no_difference_to_the_source(mount_box: Box, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(os.urandom(1_500_000))

    run("cp", source, mount_box.path())
    run("cmp", source, mount_box.path("a.bin"))


def test_cat_to_the_mount_and_back(mount_box: Box, run: Run) -> None:
    text = "G28 ; home\n" * 5000

    run("sh", "-c", f"cat > '{mount_box.path('a.gcode')}'", text=text)

    assert run("cat", mount_box.path("a.gcode")) == text


def test_head_and_tail_read_the_ends(mount_box: Box, run: Run) -> None:
    mount_box.put("a.gcode", b"first\n" + b"middle\n" * 50_000 + b"last\n")

    assert run("head", "-n1", mount_box.path("a.gcode")) == "first\n"
    assert run("tail", "-n1", mount_box.path("a.gcode")) == "last\n"
