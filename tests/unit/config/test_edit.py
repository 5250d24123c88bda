"""Writing a printer into config.toml."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from bambufs.config.edit import write_printer
from bambufs.config.file import ConfigFile
from bambufs.errors import UsageError

CODE = "47281593"
GARAGE = {"address": "192.168.1.50", "access_code": CODE, "mountpoint": "~/printer"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bambufs" / "config.toml"


def test_new_file_is_yours_alone_and_explains_itself(path: Path) -> None:
    write_printer(path, "garage", GARAGE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_text().startswith("# The printers that bambufs knows.")
    assert tomllib.loads(path.read_text()) == {"printer": {"garage": GARAGE}}


def test_what_is_there_stays(path: Path) -> None:
    before = '# mine\n[defaults]\nttl = 2   # quick\n\n[printer.attic]\naddress = "10.0.0.1"  # upstairs\n'
    path.parent.mkdir()
    path.write_text(before)
    write_printer(path, "garage", GARAGE)
    assert path.read_text().startswith(before)
    assert set(tomllib.loads(path.read_text())["printer"]) == {"attic", "garage"}


def test_printer_that_is_there_keeps_its_other_settings(path: Path) -> None:
    path.parent.mkdir()
    lines = ("[printer.garage]", 'address = "10.0.0.1" # old', 'access_code_file = "code"', 'card_size = "64G" # big')
    path.write_text("\n".join(lines))
    write_printer(path, "garage", {**GARAGE, "access_code_file": None})
    assert 'card_size = "64G" # big' in path.read_text()
    assert tomllib.loads(path.read_text())["printer"]["garage"] == {**GARAGE, "card_size": "64G"}


def test_mode_becomes_private_when_a_code_comes_in(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[defaults]\nttl = 2\n")
    path.chmod(0o644)
    write_printer(path, "garage", GARAGE)
    assert ConfigFile.read(path) is not None


def test_link_is_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "dotfiles").mkdir()
    path.symlink_to(tmp_path / "dotfiles" / "bambufs.toml")
    write_printer(path, "garage", GARAGE)
    assert path.is_symlink()
    assert "garage" in (tmp_path / "dotfiles" / "bambufs.toml").read_text()


def test_folder_in_the_way_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be written"):
        write_printer(path, "garage", GARAGE)


def test_failure_leaves_the_old_file_and_no_litter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_printer(path, "garage", GARAGE)
    before = path.read_text()

    def refuse(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="no space left") as refused:
        write_printer(path, "attic", {"address": "10.0.0.1"})
    assert (path.read_text(), os.listdir(path.parent)) == (before, ["config.toml"])
    assert CODE not in refused.value.message


def test_value_that_is_no_setting_is_not_written(path: Path) -> None:
    write_printer(path, "garage", GARAGE)
    assert [table.settings() for table in ConfigFile.parse(path, path.read_text()).tables()]
