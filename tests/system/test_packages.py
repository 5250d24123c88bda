"""What people install: wheel, source package and Debian package; and what is generated for them from the parser."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs import __version__, simulator
from bambufs.cli.completion import completion
from tests.support import needs
from tests.unit.cli.test_parser import commands

TREE = Path(__file__).parents[2]


def run(*words: str | Path, **environment: str) -> str:
    """What a command says; it must end well."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("BAMBU", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in words], env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[simulator.Printer]:
    simulator.make_card(tmp_path / "card")
    with simulator.Printer(card=tmp_path / "card", mqtt=False) as running:
        yield running


def try_out(program: Path, printer: simulator.Printer, folder: Path) -> None:
    """Use an installed program as somebody who has just installed it."""
    assert run(program, "--version") == f"bambufs {__version__}\n"
    words = ["ls", printer.host, "--ftps-port", str(printer.ftps_port), "--cache-dir", str(folder / "cache")]
    home = {"HOME": str(folder), "BAMBU_ACCESS_CODE": printer.access_code}
    assert "benchy.gcode.3mf" in run(program, *words, "/cache", **home)


# --- what is generated --------------------------------------------------------------------------------


def test_every_command_has_a_manual_page(tmp_path: Path) -> None:
    run(sys.executable, TREE / ".ci/manual.py", tmp_path, PYTHONPATH=str(TREE))
    pages = {place.name for place in tmp_path.rglob("man?/*")}
    assert {f"bambufs-{command}.1" for command in commands()} <= pages
    assert {"bambufs.1", "bambufs-thumbnailer.1", "bambufs.toml.5", "mount.bambufs.8"} <= pages
    for place in tmp_path.rglob("man?/*"):
        text = place.read_text()
        assert text.startswith(f'.TH "{place.stem.upper()}" "{place.suffix[1:]}"')
        name = text.partition(".SH NAME\n")[2].partition("\n")[0].replace("\\-", "-")
        assert name.startswith(f"{place.stem} - "), name
        assert "ABOUT" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_every_command(shell: str) -> None:
    text = completion(shell)
    assert [command for command in commands() if command not in text] == []


def test_bash_takes_the_completion(tmp_path: Path) -> None:
    needs.need("bash")
    (tmp_path / "bambufs").write_text(completion("bash"))
    script = 'source "$1"; COMP_WORDS=(bambufs unm); COMP_CWORD=1; _shtab_bambufs; echo "${COMPREPLY[@]}"'
    assert run("bash", "-c", script, "bash", tmp_path / "bambufs") == "unmount\n"


# --- packages -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source package."""
    folder = tmp_path_factory.mktemp("dist")
    copy = folder / "tree"
    copy.mkdir()
    for name in ("setup.cfg", "setup.py", "README.md", "LICENSE", "bambufs"):
        run("cp", "-R", TREE / name, copy)
    run(sys.executable, "-m", "build", "--outdir", folder, copy)
    return folder


@pytest.mark.timeout(600)
def test_packages_hold_all_of_it(built: Path) -> None:
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    modules = {str(place.relative_to(TREE)) for place in (TREE / "bambufs").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        assert modules | {"bambufs/py.typed"} <= set(archive.namelist())
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert modules | {"LICENSE", "README.md", "setup.cfg"} <= names


@pytest.mark.timeout(600)
def test_package_installs_in_a_clean_environment(built: Path, printer: simulator.Printer, tmp_path: Path) -> None:
    (package,) = built.glob("*.whl")  # which was built from the source package
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    programs = tmp_path / "venv/bin"
    run(programs / "pip", "install", "--quiet", f"{package}[fuse3,fsspec,completion]")
    try_out(programs / "bambufs", printer, tmp_path)
    assert "usage" in run(programs / "mount.bambufs", "-h")
    assert "usage" in run(programs / "bambufs-thumbnailer", "-h")
    program = "import fsspec; from bambufs import Printer; print(fsspec.get_filesystem_class('bambu').protocol)"
    assert run(programs / "python", "-c", program) == "bambu\n"


@pytest.mark.slow
def test_package_installs_with_pipx(built: Path, printer: simulator.Printer, tmp_path: Path) -> None:
    (package,) = built.glob("*.whl")
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
              "PIPX_MAN_DIR": str(tmp_path / "man")}  # fmt: skip
    run(sys.executable, "-m", "pipx", "install", "--python", sys.executable, f"{package}[fuse3]", **places)
    try_out(tmp_path / "bin/bambufs", printer, tmp_path)
    assert (tmp_path / "bin/mount.bambufs").exists()


@pytest.mark.timeout(600)
def test_debian_package_works(printer: simulator.Printer, tmp_path: Path) -> None:
    needs.need("dpkg-deb")
    run(TREE / ".ci/deb", tmp_path / "dist", PYTHON=sys.executable)
    (package,) = (tmp_path / "dist").glob("bambufs_*_all.deb")
    root = tmp_path / "root"
    run("dpkg-deb", "-x", package, root)
    try_out(root / "usr/bin/bambufs", printer, tmp_path)
    assert "usage" in run(root / "usr/sbin/mount.bambufs", "-h")
    for place in ("lib/systemd/system/bambufs@.service", "lib/systemd/user/bambufs@.service",
                  "share/man/man1/bambufs-mount.1.gz", "share/thumbnailers/bambufs.thumbnailer",
                  "share/bash-completion/completions/bambufs"):  # fmt: skip
        assert (root / "usr" / place).exists(), place
    entry = (root / "usr/share/thumbnailers/bambufs.thumbnailer").read_text()
    assert "TryExec=/usr/bin/bambufs-thumbnailer" in entry
    if os.environ.get("CI") == "true" and os.geteuid() == 0:  # else it is your computer
        run("dpkg", "-i", package)
        try:
            try_out(Path("/usr/bin/bambufs"), printer, tmp_path)
        finally:
            run("dpkg", "--purge", "bambufs")
        assert not Path("/usr/bin/bambufs").exists()
