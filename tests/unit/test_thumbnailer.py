"""The pictures of sliced files, for file managers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bambufs import simulator, thumbnailer
from bambufs.errors import UsageError
from bambufs.vfs.fetching import BLOCK, TAIL
from tests.printing.bench import Address
from tests.support import needs
from tests.support import threemf as maker
from tests.support.mounting import mounted


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return simulator.make_3mf(tmp_path / "part.gcode.3mf", plates=2)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_picture_fits(part: Path, tmp_path: Path, size: int) -> None:
    out = tmp_path / "out.png"
    assert thumbnailer.main(["--size", str(size), str(part), str(out)]) == 0
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert 0 < max(image.size) <= size


def test_file_url_is_taken(part: Path, tmp_path: Path) -> None:
    odd = part.rename(tmp_path / "größe 1.3mf")
    assert thumbnailer.main([odd.as_uri(), str(tmp_path / "out.png")]) == 0


def test_picture_of_the_first_plate_there_is(tmp_path: Path) -> None:
    (tmp_path / "x.3mf").write_bytes(maker.make(plates=(3,)))
    assert thumbnailer.picture_of(tmp_path / "x.3mf") == maker.PNG


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"no 3MF at all, but some text", "not a 3MF"),
        (maker.pack({"3D/3dmodel.model": b"<model/>"}), "holds no picture"),
        (maker.make(), "cannot be read"),
    ],
)
def test_what_has_no_picture_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    (tmp_path / "x.3mf").write_bytes(content)
    assert thumbnailer.main([str(tmp_path / "x.3mf"), str(tmp_path / "out.png")]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_it_starts_quickly_without_the_rest() -> None:
    program = (
        "import sys, bambufs.thumbnailer\n"
        "heavy = {'ssl', 'paho', 'rich', 'fuse', 'bambufs.cli', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_file_managers_are_told(tmp_path: Path) -> None:
    place = thumbnailer.install(tmp_path / "my bin" / "bambufs-thumbnailer", tmp_path / "data")
    assert place == tmp_path / "data/thumbnailers/bambufs.thumbnailer"
    lines = place.read_text().splitlines()
    assert lines[0] == "[Thumbnailer Entry]"
    assert f"TryExec={tmp_path}/my bin/bambufs-thumbnailer" in lines
    assert f'Exec="{tmp_path}/my bin/bambufs-thumbnailer" --size %s %i %o' in lines


@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_thumbnails_of_a_mounted_folder_cost_little(tmp_path: Path, model: str) -> None:
    needs.need("fuse3")
    card = tmp_path / "card"
    simulator.make_card(card)
    gcode = os.urandom(4_000_000)
    names = [f"part{number}.gcode.3mf" for number in range(3)]
    for name in names:
        simulator.make_3mf(card / "cache" / name, gcode=gcode)
    with simulator.Printer(card=card, model=model) as printer:
        with mounted(Address.of(printer), tmp_path / "mnt") as mount:
            if model == "x1c":
                pictures = [thumbnailer.picture_of(mount.path / "cache" / name) for name in names]
                assert {Image.open(io.BytesIO(picture)).size for picture in pictures} == {(512, 512)}
            else:
                with pytest.raises(UsageError, match="all of it"):
                    thumbnailer.picture_of(mount.path / "cache" / names[0])
                assert thumbnailer.picture_of(mount.path / "cache/benchy.gcode.3mf")
            fetched = json.loads((mount.path / ".bambufs/stats").read_text())["bytes_cached"]
    picture = 64 * 1024
    assert fetched <= len(names) * (TAIL + picture + BLOCK)  # what else has come in is kept, up to a block
