"""The example card, its print files and pictures are what they claim to be, and the same every time."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from pathlib import Path

import pytest

from bambufs.simulator import make_3mf, make_card
from bambufs.simulator.card import CACHED_FILE, FOLDERS, PRINT_FILE, THUMBNAIL, VERIFY_JOB, VIDEO
from bambufs.simulator.picture import jpeg, png
from bambufs.simulator.threemf import Filament, cube_gcode
from tests.support.needs import need


def tree(folder: Path) -> dict[str, tuple[float, bytes]]:
    return {
        str(place.relative_to(folder)): (place.stat().st_mtime, place.read_bytes() if place.is_file() else b"")
        for place in folder.rglob("*")
    }


def probe(path: Path) -> dict[str, str]:
    """What ffprobe finds in the first stream."""
    need("ffprobe")
    wanted = "stream=codec_name,width,height,nb_read_frames"
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", wanted, "-of", "json", path],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)["streams"][0]
    return {key: str(value) for key, value in found.items()}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    make_card(tmp_path / "card")
    return tmp_path / "card"


def test_the_card_looks_like_that_of_an_x1(card: Path) -> None:
    assert all((card / name).is_dir() for name in FOLDERS)
    assert (card / VERIFY_JOB).stat().st_size == 16
    assert zipfile.ZipFile(card / PRINT_FILE).testzip() is None
    assert zipfile.ZipFile(card / CACHED_FILE).testzip() is None


def test_two_cards_are_equal(card: Path, tmp_path: Path) -> None:
    make_card(tmp_path / "other")

    assert tree(card) == tree(tmp_path / "other")


def test_the_film_and_its_thumbnail_can_be_played(card: Path) -> None:
    film, thumbnail = probe(card / VIDEO), probe(card / THUMBNAIL)

    assert film == {"codec_name": "mjpeg", "width": "320", "height": "240", "nb_read_frames": "36"}
    assert (thumbnail["codec_name"], thumbnail["width"], thumbnail["height"]) == ("mjpeg", "160", "120")


def test_a_jpeg_has_the_colours_that_were_asked_for(tmp_path: Path) -> None:
    need("ffmpeg")
    (tmp_path / "a.jpg").write_bytes(jpeg(4, 4, lambda column, row: (column * 80, row * 80, 7)))

    raw = subprocess.run(
        ["ffmpeg", "-v", "quiet", "-i", tmp_path / "a.jpg", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout

    for column, row in ((0, 0), (3, 0), (0, 3), (3, 3)):
        start = 3 * ((row * 8 + 4) * 32 + column * 8 + 4)
        assert all(abs(a - b) < 4 for a, b in zip(raw[start : start + 3], (column * 80, row * 80, 7), strict=True))


def test_a_png_is_whole() -> None:
    picture = png(3, 2, lambda x, y: (x, y, 9))

    length = struct.unpack(">I", picture[33:37])[0]
    assert picture[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    assert struct.unpack(">II", picture[16:24]) == (3, 2)
    assert zlib.decompress(picture[41 : 41 + length]) == b"\0\0\0\x09\1\0\x09\2\0\x09" + b"\0\0\1\x09\1\1\x09\2\1\x09"


# -- print files


def test_a_print_file_holds_what_printers_look_for(tmp_path: Path) -> None:
    with zipfile.ZipFile(make_3mf(tmp_path / "a.3mf", plates=2, model_id="C12", title="A & B")) as archive:
        for number in (1, 2):
            gcode = archive.read(f"Metadata/plate_{number}.gcode")
            assert archive.read(f"Metadata/plate_{number}.gcode.md5") == hashlib.md5(gcode).hexdigest().upper().encode()
            assert json.loads(archive.read(f"Metadata/plate_{number}.json"))["bed_type"] == "textured_plate"
            assert archive.read(f"Metadata/plate_{number}.png").startswith(b"\x89PNG")
        info = ElementTree.fromstring(archive.read("Metadata/slice_info.config"))
        model = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
        assert json.loads(archive.read("Metadata/project_settings.config"))["printer_model"] == "C12"

    plates = [{item.get("key"): item.get("value") for item in plate.iter("metadata")} for plate in info.iter("plate")]
    assert [plate["index"] for plate in plates] == ["1", "2"]
    assert plates[0]["printer_model_id"] == "C12"
    assert "A & B" in [item.text for item in model]


def test_filaments_are_listed(tmp_path: Path) -> None:
    filaments = (Filament(), Filament(kind="PETG", colour="#FF0000", grams=2.0))

    with zipfile.ZipFile(make_3mf(tmp_path / "a.3mf", filaments=filaments)) as archive:
        info = ElementTree.fromstring(archive.read("Metadata/slice_info.config"))

    assert [(item.get("id"), item.get("type"), item.get("color")) for item in info.iter("filament")] == [
        ("1", "PLA", "#00AE42"),
        ("2", "PETG", "#FF0000"),
    ]


def test_a_project_that_is_not_sliced_has_no_gcode(tmp_path: Path) -> None:
    with zipfile.ZipFile(make_3mf(tmp_path / "a.3mf", is_sliced=False)) as archive:
        assert not [name for name in archive.namelist() if "gcode" in name or "slice_info" in name]


def test_own_gcode_wrong_checksums_and_more_members(tmp_path: Path) -> None:
    path = make_3mf(tmp_path / "a.3mf", gcode=b"G28\n", md5="WRONG", extra={"Metadata/big.bin": bytes(100)})

    with zipfile.ZipFile(path) as archive:
        assert archive.read("Metadata/plate_1.gcode") == b"G28\n"
        assert archive.read("Metadata/plate_1.gcode.md5") == b"WRONG"
        assert len(archive.read("Metadata/big.bin")) == 100


def test_the_gcode_has_as_many_layers_as_it_says() -> None:
    text = cube_gcode().decode()

    assert "; total layer number: 100\n" in text
    assert text.count("; CHANGE_LAYER") == 100
    assert "\nM73 L100\n" in text
