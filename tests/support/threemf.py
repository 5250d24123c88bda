"""Makes real sliced 3MF files, whole and broken, laid out as BambuStudio lays them out."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence

GCODE = b"; HEADER_BLOCK_START\n; total layer number: 3\n; HEADER_BLOCK_END\nG28\n" + b"G1 X10 Y10 E1\n" * 500
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<model unit="millimeter" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">
 <metadata name="Application">BambuStudio-02.05.00.66</metadata>
 <metadata name="Title">{title}</metadata>
 <resources/><build/>
</model>
"""
PLATE = """  <plate>
    <metadata key="index" value="{number}"/>
    <metadata key="printer_model_id" value="{model}"/>
    <metadata key="nozzle_diameters" value="{nozzle}"/>
    <metadata key="prediction" value="{seconds}"/>
    <metadata key="weight" value="{grams}"/>
    <object identify_id="15" name="3DBenchy.stl" skipped="false" />
    <filament id="1" tray_info_idx="GFA00" type="PLA" color="#76D9F4" used_m="3.5" used_g="10.52"/>
    <filament id="3" tray_info_idx="GFG00" type="PETG" color="#FFF144" used_m="0.6" used_g="1.9"/>
  </plate>
"""


def slice_info(
    plates: Sequence[int] = (1,),
    *,
    model: str = "C12",
    nozzle: str = "0.4",
    seconds: int = 1234,
    grams: str = "12.42",
) -> str:
    """The text of a slice_info.config."""
    body = "".join(
        PLATE.format(number=n, model=model, nozzle=nozzle, seconds=seconds, grams=grams) for n in plates
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<config>\n  <header/>\n{body}</config>\n'


def members(
    *,
    plates: Sequence[int] = (1,),
    gcode: bytes = GCODE,
    model: str = "C12",
    title: str = "",
    upper: bool = True,
) -> dict[str, bytes]:
    """The members of a sliced file by name, ready to be changed before `pack`."""
    md5 = hashlib.md5(gcode).hexdigest()
    found: dict[str, bytes] = {
        "[Content_Types].xml": b"<Types/>",
        "_rels/.rels": b"<Relationships/>",
        "3D/3dmodel.model": MODEL.format(title=title).encode(),
        "Metadata/slice_info.config": slice_info(plates, model=model).encode(),
        "Metadata/project_settings.config": b"{}",
    }
    for number in plates:
        found[f"Metadata/plate_{number}.gcode"] = gcode
        found[f"Metadata/plate_{number}.gcode.md5"] = (md5.upper() if upper else md5).encode()
        found[f"Metadata/plate_{number}.png"] = PNG
    return found


def pack(contents: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The members as the bytes of a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def make(
    *,
    plates: Sequence[int] = (1,),
    gcode: bytes = GCODE,
    model: str = "C12",
    title: str = "",
    upper: bool = True,
) -> bytes:
    """The bytes of a whole, printable file."""
    return pack(members(plates=plates, gcode=gcode, model=model, title=title, upper=upper))
