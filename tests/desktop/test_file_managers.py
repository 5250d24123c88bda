"""What people do in a file manager, done with the keyboard in two real ones."""

from __future__ import annotations

import random
from pathlib import Path

from tests.desktop.conftest import MANY, Desk, Manager
from tests.support.waiting import wait_until

SIZE = 3_000_000


def new_folder(desk: Desk, name: str, *files: str) -> Path:
    """A folder on the card with files of random bytes in it, as the mount shows it."""
    (desk.card / name).mkdir()
    for file in files:
        (desk.card / name / file).write_bytes(random.Random(file).randbytes(SIZE))
    (desk.mount / ".bambufs" / "refresh").write_text("\n")
    return desk.mount / name


def on_card(desk: Desk, name: str) -> list[str]:
    """The names in a folder of the card, hidden ones too."""
    return sorted(file.name for file in (desk.card / name).iterdir())


def test_a_folder_of_big_files_is_looked_at_for_nothing(desk: Desk, manager: Manager) -> None:
    fetched = desk.bytes_fetched
    asked = len([command for command in desk.printer.log if command.verb == "LIST"])

    with desk.browsing(manager, desk.mount / "many"):
        desk.settle()
        desk.screen.keys("End", "Home", "Next", "Next")
        desk.settle()

    assert desk.bytes_fetched - fetched <= MANY * 4096, "a kilobyte or so for each file, never the file"
    assert len([command for command in desk.printer.log if command.verb == "LIST"]) - asked < 20
    assert on_card(desk, "many") == sorted(f"part{number:02}.gcode.3mf" for number in range(MANY)), "no litter"


def test_files_are_copied_to_the_printer(desk: Desk, manager: Manager) -> None:
    there = new_folder(desk, f"to-{manager.program}")
    here = desk.home / f"mine-{manager.program}"
    here.mkdir()
    content = random.Random(1).randbytes(SIZE)
    (here / "mine.3mf").write_bytes(content)

    with desk.browsing(manager, here):
        desk.screen.copy("mine.3mf", lambda: desk.screen.keys("ctrl+a"))
        desk.go_to(manager, there)
        desk.screen.keys("ctrl+v")
        arrived = desk.card / there.name / "mine.3mf"
        wait_until(arrived.exists, "the file to be on the card", seconds=30)
        desk.settle()

    assert arrived.read_bytes() == content
    assert on_card(desk, there.name) == ["mine.3mf"], "no litter"


def test_files_are_copied_from_the_printer(desk: Desk, manager: Manager) -> None:
    there = new_folder(desk, f"from-{manager.program}", "theirs.3mf")
    here = desk.home / f"copies-{manager.program}"
    here.mkdir()

    with desk.browsing(manager, there):
        desk.settle()
        desk.screen.copy("theirs.3mf", lambda: desk.screen.keys("ctrl+a"))
        desk.go_to(manager, here)
        desk.screen.keys("ctrl+v")
        copy, wanted = here / "theirs.3mf", (desk.card / there.name / "theirs.3mf").read_bytes()
        wait_until(lambda: copy.exists() and copy.read_bytes() == wanted, "the copy to be whole", seconds=30)


def test_a_file_is_renamed(desk: Desk, manager: Manager) -> None:
    there = new_folder(desk, f"rename-{manager.program}", "before.3mf")

    with desk.browsing(manager, there):
        desk.settle()
        desk.screen.keys("ctrl+a", "F2")
        desk.screen.keys("ctrl+a")
        desk.screen.write("after.3mf")
        desk.screen.keys("Return")
        wait_until(lambda: on_card(desk, there.name) == ["after.3mf"], "the new name on the card", seconds=20)


def test_files_are_thrown_away(desk: Desk, manager: Manager) -> None:
    # There is no trash on a printer: the file managers offer to delete instead.
    there = new_folder(desk, f"trash-{manager.program}", "old.3mf", "older.3mf")

    with desk.browsing(manager, there):
        desk.settle()
        desk.screen.keys("ctrl+a", "Delete")
        for title, key in manager.offers_to_delete:
            desk.screen.wait_for_window(title)
            desk.screen.keys(key)
        wait_until(lambda: on_card(desk, there.name) == [], "the files to be gone", seconds=20)

    assert not [name for name in on_card(desk, ".") if name.startswith(".Trash")]


def test_a_file_that_was_searched_is_the_only_one_fetched(desk: Desk, manager: Manager) -> None:
    before, there = desk.bytes_fetched, desk.mount / "many"
    name = "part07.gcode.3mf" if manager.program == "thunar" else "part08.gcode.3mf"
    here = desk.home / f"found-{manager.program}"
    here.mkdir()

    with desk.browsing(manager, there):
        desk.settle()
        manager.search(desk.screen, name.partition(".")[0])
        manager.copy_found(desk.screen, name)
        desk.go_to(manager, here)
        desk.screen.keys("ctrl+v")
        copy, wanted = here / name, (desk.card / "many" / name).read_bytes()
        wait_until(lambda: copy.exists() and copy.read_bytes() == wanted, "the copy to be whole", seconds=30)

    assert desk.bytes_fetched - before <= 2 * len(wanted), "the file, and at most a look into some others"
