from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import random
import zipfile
from typing import Any, BinaryIO

import pytest
from bambox.pack import (  # type: ignore[import-untyped,unused-ignore]
    FilamentInfo,
    ObjectInfo,
    pack_gcode_3mf,
)
from bambox.pack import SliceInfo as BamboxSliceInfo
from bambox.validate import validate_3mf_buffer  # type: ignore[import-untyped,unused-ignore]
from hypothesis import given, settings
from hypothesis import strategies as st

from bambufs.errors import InvalidJob, PrinterTimeout
from bambufs.printer.threemf import ThreeMF, file_md5
from tests.support import threemf as maker

PATH = "/cache/benchy.gcode.3mf"


def opened(data: bytes) -> ThreeMF:
    return ThreeMF(io.BytesIO(data), PATH)


def checked(file: BinaryIO) -> ThreeMF:
    """Opened, and its first plate checked."""
    found = ThreeMF(file, PATH)
    found.check_printable(found.plate())
    return found


def refusal(data: bytes) -> str:
    """The sentence with which a file is refused, at the latest when its plate is checked."""
    with pytest.raises(InvalidJob) as caught:
        checked(io.BytesIO(data))
    assert caught.value.path == PATH
    assert caught.value.errno == errno.EINVAL
    return caught.value.message


class Counting(io.BytesIO):
    """A file that notes which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.touched: list[range] = []

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.touched.append(range(start, start + len(data)))
        return data

    def bytes_read(self) -> int:
        return len(set().union(*self.touched))


# -- what it tells -------------------------------------------------------------------------------


def test_plate_tells_what_the_slicer_noted() -> None:
    plate = opened(maker.make(plates=(1, 2), title="Benchy")).plates[1]

    assert (plate.number, plate.has_gcode, plate.gcode_size) == (2, True, len(maker.GCODE))
    assert (plate.seconds, plate.grams) == (1234, 12.42)
    assert plate.objects == ("3DBenchy.stl",)
    assert [(f.number, f.material, f.color, f.grams, f.tray_info_idx) for f in plate.filaments] == [
        (1, "PLA", "#76D9F4", 10.52, "GFA00"),
        (3, "PETG", "#FFF144", 1.9, "GFG00"),
    ]


def test_file_tells_model_nozzle_title_and_thumbnail() -> None:
    found = opened(maker.make(title="Benchy &amp;\n friends"))

    assert (found.printer_model_id, found.nozzle, found.title()) == ("C12", 0.4, "Benchy & friends")
    assert found.thumbnail(found.plate()) == maker.PNG


def test_first_sliced_plate_is_chosen_when_none_is_named() -> None:
    parts = maker.members(plates=(1, 2))
    del parts["Metadata/plate_1.gcode"]

    found = opened(maker.pack(parts))

    assert [plate.has_gcode for plate in found.plates] == [False, True]
    assert found.plate().number == 2


def test_plate_without_slice_info_is_still_printable() -> None:
    parts = maker.members()
    del parts["Metadata/slice_info.config"]

    found = opened(maker.pack(parts))

    found.check_printable(found.plate(1))
    assert found.plate().seconds == 0


def test_missing_plate_is_named_with_those_that_exist() -> None:
    with pytest.raises(InvalidJob, match=r"no sliced plate 7 in it; it has plates 1, 3\."):
        opened(maker.make(plates=(1, 3))).plate(7)


@pytest.mark.parametrize(
    ("model", "sentence"), [("N2S", "It was sliced for the P1S, but this printer is the A1."), ("P1S", None)]
)
def test_warning_when_sliced_for_another_model(model: str, sentence: str | None) -> None:
    assert opened(maker.make(model="C12")).warning_for(model) == sentence


def test_no_warning_between_x1_and_x1c_nor_for_the_unknown() -> None:
    assert opened(maker.make(model="BL-P001")).warning_for("X1") is None
    assert opened(maker.make(model="Z99")).warning_for("P1S") is None
    assert opened(maker.make()).warning_for(None) is None


# -- may it be printed ---------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [True, False])
def test_checksum_matches_in_either_case(upper: bool) -> None:
    found = opened(maker.make(upper=upper))

    found.check_printable(found.plate())


def test_checksum_as_md5sum_writes_it_is_understood() -> None:
    parts = maker.members()
    parts["Metadata/plate_1.gcode.md5"] += b"  plate_1.gcode\n"
    found = opened(maker.pack(parts))

    found.check_printable(found.plate())


def test_changed_gcode_is_refused() -> None:
    parts = maker.members()
    parts["Metadata/plate_1.gcode"] += b"M104 S300\n"

    assert "does not match its checksum" in refusal(maker.pack(parts))


def test_gcode_without_checksum_passes() -> None:
    parts = maker.members()
    del parts["Metadata/plate_1.gcode.md5"]
    found = opened(maker.pack(parts))

    found.check_printable(found.plate())


def test_md5_of_the_file_is_upper_case() -> None:
    data = maker.make()

    assert file_md5(io.BytesIO(data)) == hashlib.md5(data).hexdigest().upper()


# -- each broken file gets its own sentence ------------------------------------------------------


def broken_files() -> dict[str, tuple[bytes, str]]:
    whole, parts = maker.make(), maker.members()
    unsliced = {name: data for name, data in parts.items() if ".gcode" not in name}
    damaged = bytearray(whole)
    at = whole.index(b"Metadata/plate_1.gcode") + 60
    damaged[at : at + 8] = b"\0" * 8
    encrypted = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[whole.index(mark) + offset] |= 1
    return {
        "empty": (b"", "is empty"),
        "gcode": (b"G28\nG1 X10\n", "not a 3MF file"),
        "truncated": (whole[: len(whole) * 2 // 3], "breaks off"),
        "head only": (whole[:10], "breaks off"),
        "damaged": (bytes(damaged), "is damaged"),
        "unsliced": (maker.pack(unsliced), "has not been sliced"),
        "empty gcode": (maker.pack(parts | {"Metadata/plate_1.gcode": b""}), "has not been sliced"),
        "encrypted": (bytes(encrypted), "is encrypted"),
        "other zip": (maker.pack({"holiday.jpg": b"x"}), "not a 3MF: it holds no model"),
        "lzma": (maker.pack(parts, zipfile.ZIP_LZMA), "packed with a method (number 14)"),
        "doctype": (
            maker.pack(parts | {"Metadata/slice_info.config": b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}),
            "slice_info.config) cannot be read",
        ),
        "not xml": (maker.pack(parts | {"Metadata/slice_info.config": b"<config><plate>"}), "cannot be read"),
    }


@pytest.mark.parametrize("kind", list(broken_files()))
def test_broken_file_gets_its_own_sentence(kind: str) -> None:
    data, expected = broken_files()[kind]

    assert expected in refusal(data)


def test_two_members_of_one_name_are_refused() -> None:
    buffer = io.BytesIO(maker.make())
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("Metadata/plate_1.gcode", b"G28\n")

    assert "two members of one name" in refusal(buffer.getvalue())


def test_small_member_that_unpacks_to_much_is_not_opened() -> None:
    bomb = maker.members() | {"Metadata/slice_info.config": b" " * (5 << 20)}

    assert "claims to unpack to 5242880 bytes" in refusal(maker.pack(bomb))


def test_gcode_bomb_is_not_opened() -> None:
    bomb = maker.members(gcode=b"G1 X0\n" * (13 << 20))

    assert "may have been made to do harm" in refusal(maker.pack(bomb))


def test_member_that_unpacks_to_more_than_it_claims_is_refused() -> None:
    data = bytearray(maker.pack(maker.members() | {"Metadata/slice_info.config": b" " * 100_000}))
    # The size stands 22 bytes into the local header and 24 into the directory's entry, before the name.
    local, central = data.index(b"Metadata/slice_info"), data.rindex(b"Metadata/slice_info")
    data[local - 8 : local - 4] = data[central - 22 : central - 18] = (500).to_bytes(4, "little")

    assert "is damaged" in refusal(bytes(data))


def test_directory_that_claims_to_be_huge_is_not_read_into_memory() -> None:
    claimed = 64 << 20
    data = b"PK\x03\x04" + bytes(claimed) + b"PK\x05\x06" + bytes(8)
    data += claimed.to_bytes(4, "little") + (4).to_bytes(4, "little") + bytes(2)

    assert "directory larger than any 3MF has" in refusal(data)


@pytest.mark.parametrize("fails_at", [0, 1, 2, 3, 4, 6, 8])
def test_printer_that_goes_away_is_not_taken_for_a_broken_file(fails_at: int) -> None:
    class Leaving(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            if self.reads > fails_at:
                raise PrinterTimeout("The printer stopped answering.")
            return super().read(size)

    with pytest.raises(PrinterTimeout):
        checked(Leaving(maker.make()))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_ends_in_a_refusal_or_in_a_readable_file(data: Any) -> None:
    content = bytearray(maker.make(gcode=b"G28\n" * 20))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(content) // 2, len(content)))

    with contextlib.suppress(InvalidJob):
        checked(io.BytesIO(content[:cut])).title()


# -- what it costs -------------------------------------------------------------------------------


def test_metadata_of_a_big_file_costs_kilobytes() -> None:
    noise = random.Random(1).randbytes(8 << 20)
    data = maker.make(plates=(1, 2, 3), gcode=noise)
    file = Counting(data)

    found = ThreeMF(file, PATH)
    _ = (found.plates, found.title(), found.printer_model_id, found.thumbnail(found.plate()))

    assert len(data) > 24 << 20
    assert file.bytes_read() < 40_000
    assert len(file.touched) < 40


def test_listing_the_plates_reads_only_the_directory_and_one_member() -> None:
    data = maker.make(plates=(1, 2))
    file = Counting(data)

    assert len(ThreeMF(file, PATH).plates) == 2

    directory = data.index(b"PK\x01\x02")
    member = data.index(b"Metadata/slice_info.config") - 30
    for part in (part for part in file.touched if len(part) > 4):
        assert part.start >= directory or member <= part.start < member + 4096


# -- files of an independent maker ---------------------------------------------------------------


def bambox_file(**extra: Any) -> bytes:
    info = BamboxSliceInfo(
        printer_model_id="C12",
        nozzle_diameter=0.4,
        prediction=3725,
        weight=21.5,
        filaments=[
            FilamentInfo(slot=2, filament_type="PETG", color="#112233", used_g=21.5, tray_info_idx="GFG99")
        ],
        objects=[ObjectInfo(7, "Gehäuse & Deckel")],
    )
    buffer = io.BytesIO()
    pack_gcode_3mf(maker.GCODE, buffer, slice_info=info, **extra)
    return buffer.getvalue()


def test_file_of_an_independent_maker_is_read() -> None:
    found = opened(bambox_file())

    plate = found.plate(1)
    found.check_printable(plate)
    assert (plate.seconds, plate.grams, plate.objects) == (3725, 21.5, ("Gehäuse & Deckel",))
    assert [(f.number, f.material, f.tray_info_idx) for f in plate.filaments] == [(2, "PETG", "GFG99")]
    assert (found.printer_model_id, found.nozzle, found.title()) == ("C12", 0.4, "")
    assert (found.thumbnail(plate) or b"").startswith(b"\x89PNG")


def test_our_maker_satisfies_an_independent_checker() -> None:
    findings = validate_3mf_buffer(io.BytesIO(maker.make())).findings

    assert not [
        f
        for f in findings
        if "md5" in f.message.lower() or ("missing" in f.message.lower() and "gcode" in f.message)
    ]


def test_works_on_a_real_file(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "a.gcode.3mf")
    with open(path, "wb") as out:
        out.write(bambox_file())

    with open(path, "rb") as file:
        assert ThreeMF(file, path).plate().number == 1
