"""Makes sliced print files (``.gcode.3mf``) such as Bambu Studio writes, of a cube or of any gcode.

Same arguments, same bytes.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from bambufs.simulator.picture import Colour, png

_WHEN = (2025, 6, 15, 12, 0, 0)
_LAYER = 0.2
_SIDE = 20.0
_GREEN = "#00AE42"

_CONTENT_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
 <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
 <Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
 <Default Extension="png" ContentType="image/png"/>
 <Default Extension="gcode" ContentType="text/x.gcode"/>
</Types>
"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
 <Relationship Target="/3D/3dmodel.model" Id="rel-1" \
Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
 <Relationship Target="/Metadata/plate_1.png" Id="rel-2" \
Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/thumbnail"/>
</Relationships>
"""
_PLATE_RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
 <Relationship Target="/Metadata/plate_1.gcode" Id="rel-1" \
Type="http://schemas.bambulab.com/package/2021/gcode"/>
</Relationships>
"""


@dataclass(frozen=True, slots=True)
class Filament:
    """One filament that a plate uses."""

    kind: str = "PLA"
    colour: str = _GREEN
    metres: float = 1.42
    grams: float = 4.25
    tray_info: str = "GFA00"


def make_3mf(
    path: Path,
    *,
    plates: int = 1,
    model_id: str = "BL-P001",
    title: str = "Cube",
    gcode: bytes | None = None,
    filaments: Sequence[Filament] = (Filament(),),
    seconds: int = 920,
    is_sliced: bool = True,
    md5: str | None = None,
    extra: dict[str, bytes] | None = None,
) -> Path:
    """Write a print file to ``path`` and return that path.

    ``gcode`` is every plate's (default: a cube's), ``md5`` overrides the true checksum in the
    ``.md5`` members, ``extra`` adds members. Not sliced means a project without gcode.
    """
    members: dict[str, bytes] = {
        "[Content_Types].xml": _CONTENT_TYPES.encode(),
        "_rels/.rels": _RELATIONS.encode(),
        "3D/3dmodel.model": _model(title).encode(),
        "Metadata/_rels/model_settings.config.rels": _PLATE_RELATIONS.encode(),
    }
    content = cube_gcode(seconds) if gcode is None else gcode
    for number in range(1, plates + 1):
        members |= _pictures(number) | (_plate(number, title, filaments, content, md5) if is_sliced else {})
    members["Metadata/model_settings.config"] = _model_settings(plates, title).encode()
    members["Metadata/project_settings.config"] = _project_settings(model_id, title, filaments).encode()
    if is_sliced:
        info = _slice_info(plates, model_id, title, filaments, seconds)
        members["Metadata/slice_info.config"] = info.encode()
    _write_zip(path, members | (extra or {}))
    return path


@cache
def cube_gcode(seconds: int = 920) -> bytes:
    """The gcode of a hollow cube of 20 mm, in layers of 0.2 mm, with the header of a slicer."""
    layers = round(_SIDE / _LAYER)
    lines = [
        "; HEADER_BLOCK_START",
        "; BambuStudio 02.00.03.54",
        f"; model printing time: {seconds // 60}m {seconds % 60}s; "
        f"total estimated time: {(seconds + 360) // 60}m {seconds % 60}s",
        f"; total layer number: {layers}",
        "; total filament length [mm] : 1420.00",
        "; total filament weight [g] : 4.25",
        "; filament_density: 1.26",
        "; filament_diameter: 1.75",
        f"; max_z_height: {_SIDE:.2f}",
        "; HEADER_BLOCK_END",
        "; EXECUTABLE_BLOCK_START",
        "M73 P0 R" + str(seconds // 60),
        "M140 S55",
        "M104 S220",
        "G28",
        "M190 S55",
        "M109 S220",
        "G90",
        "M83",
    ]
    for layer in range(layers):
        lines += _layer(layer, layers, seconds)
    lines += ["; EXECUTABLE_END", "M104 S0", "M140 S0", "M84", "; EXECUTABLE_BLOCK_END", ""]
    return "\n".join(lines).encode()


def _layer(layer: int, layers: int, seconds: int) -> list[str]:
    height = (layer + 1) * _LAYER
    percent = 100 * layer // layers
    lines = [
        "; CHANGE_LAYER",
        f"; Z_HEIGHT: {height:.2f}",
        f"; LAYER_HEIGHT: {_LAYER}",
        f"M73 L{layer + 1}",
        f"M991 S0 P{layer} ;notify layer change",
        f"M73 P{percent} R{seconds * (100 - percent) // 6000}",
        f"G1 Z{height:.2f} F42000",
    ]
    for inset in (0.2, 0.6, 1.0):
        lines += _square(inset)
    return lines


def _square(inset: float) -> list[str]:
    low, high = 118.0 + inset, 118.0 + _SIDE - inset
    filament = (high - low) * 0.0332
    corners = ((high, low), (high, high), (low, high), (low, low))
    walls = [f"G1 X{x:.3f} Y{y:.3f} E{filament:.5f}" for x, y in corners]
    return ["; FEATURE: Inner wall", f"G1 X{low:.3f} Y{low:.3f} F42000", "G1 F12000", *walls]


# -- members


def _plate(
    number: int, title: str, filaments: Sequence[Filament], gcode: bytes, md5: str | None
) -> dict[str, bytes]:
    name = f"Metadata/plate_{number}"
    digest = hashlib.md5(gcode, usedforsecurity=False).hexdigest().upper()
    return {
        f"{name}.gcode": gcode,
        f"{name}.gcode.md5": (digest if md5 is None else md5).encode(),
        f"{name}.json": _plate_json(title, filaments).encode(),
    }


def _pictures(number: int) -> dict[str, bytes]:
    name = f"Metadata/plate_{number}"
    large = {f"{name}.png", f"Metadata/plate_no_light_{number}.png"}
    large |= {f"Metadata/top_{number}.png", f"Metadata/pick_{number}.png"}
    return {f"{name}_small.png": cube_png(128)} | dict.fromkeys(sorted(large), cube_png(512))


def _plate_json(title: str, filaments: Sequence[Filament]) -> str:
    box = [118.0, 118.0, 118.0 + _SIDE, 118.0 + _SIDE]
    thing = {"area": _SIDE * _SIDE, "bbox": box, "id": 64, "layer_height": _LAYER, "name": title}
    return json.dumps(
        {
            "bbox_all": box,
            "bbox_objects": [thing],
            "bed_type": "textured_plate",
            "filament_colors": [filament.colour for filament in filaments],
            "filament_ids": list(range(len(filaments))),
            "first_extruder": 0,
            "is_seq_print": False,
            "nozzle_diameter": 0.4,
            "version": 2,
        }
    )


def _slice_info(
    plates: int, model_id: str, title: str, filaments: Sequence[Filament], seconds: int
) -> str:
    rows = ['<?xml version="1.0" encoding="UTF-8"?>', "<config>", "  <header>"]
    rows += [_header("X-BBL-Client-Type", "slicer"), _header("X-BBL-Client-Version", "02.00.03.54")]
    rows.append("  </header>")
    for number in range(1, plates + 1):
        facts = {
            "index": str(number),
            "printer_model_id": model_id,
            "nozzle_diameters": "0.4",
            "timelapse_type": "0",
            "prediction": str(seconds),
            "weight": f"{sum(filament.grams for filament in filaments):.2f}",
            "outside": "false",
            "support_used": "false",
            "label_object_enabled": "true",
        }
        rows += ["  <plate>", *(_metadata(key, value) for key, value in facts.items())]
        rows.append(f'    <object identify_id="64" name={quoteattr(title)} skipped="false" />')
        rows += [_filament(number, filament) for number, filament in enumerate(filaments, start=1)]
        rows.append("  </plate>")
    return "\n".join([*rows, "</config>", ""])


def _header(key: str, value: str) -> str:
    return f'    <header_item key="{key}" value="{value}"/>'


def _metadata(key: str, value: str) -> str:
    return f"    <metadata key={quoteattr(key)} value={quoteattr(value)}/>"


def _filament(number: int, filament: Filament) -> str:
    return (
        f'    <filament id="{number}" tray_info_idx="{filament.tray_info}" type="{filament.kind}" '
        f'color="{filament.colour}" used_m="{filament.metres:.2f}" used_g="{filament.grams:.2f}" />'
    )


def _model_settings(plates: int, title: str) -> str:
    rows = ['<?xml version="1.0" encoding="UTF-8"?>', "<config>"]
    rows += ['  <object id="2">', _metadata("name", title), "  </object>"]
    for number in range(1, plates + 1):
        facts = {
            "plater_id": str(number),
            "plater_name": "",
            "locked": "false",
            "gcode_file": f"Metadata/plate_{number}.gcode",
            "thumbnail_file": f"Metadata/plate_{number}.png",
            "pattern_bbox_file": f"Metadata/plate_{number}.json",
        }
        rows += ["  <plate>", *(_metadata(key, value) for key, value in facts.items()), "  </plate>"]
    return "\n".join([*rows, "</config>", ""])


def _project_settings(model_id: str, title: str, filaments: Sequence[Filament]) -> str:
    settings = {
        "from": "project",
        "name": title,
        "printer_model": model_id,
        "printer_settings_id": f"{model_id} 0.4 nozzle",
        "layer_height": str(_LAYER),
        "curr_bed_type": "Textured PEI Plate",
        "filament_type": [filament.kind for filament in filaments],
        "filament_colour": [filament.colour for filament in filaments],
        "nozzle_diameter": ["0.4"],
        "version": "02.00.03.54",
    }
    return json.dumps(settings, indent=4)


def _model(title: str) -> str:
    corners = [(x, y, z) for x in (0, 20) for y in (0, 20) for z in (0, 20)]
    faces = (
        (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5),
    )  # fmt: skip
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in corners)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in faces)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<model unit="millimeter" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
        '<metadata name="Application">BambuStudio-02.00.03.54</metadata>\n'
        f'<metadata name="Title">{escape(title)}</metadata>\n'
        f'<resources><object id="2" type="model"><mesh><vertices>{vertices}</vertices>'
        f"<triangles>{triangles}</triangles></mesh></object></resources>\n"
        '<build><item objectid="2" transform="1 0 0 0 1 0 0 0 1 118 118 0"/></build>\n</model>\n'
    )


def _write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _WHEN)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


# -- the picture of the cube


@cache
def cube_png(size: int) -> bytes:
    """A square picture of a green cube, ``size`` pixels wide."""
    return png(size, size, lambda x, y: cube_shade(x / size, y / size))


def cube_shade(x: float, y: float, grown: float = 1.0) -> Colour:
    """The colour at a place (0 to 1, from the upper left) of a cube that has ``grown`` so far."""
    across, lift = abs(x - 0.5), 0.5 * abs(x - 0.5)
    top = 0.85 - 0.4 * grown  # where the front edge begins
    if across > 0.35:
        return (245, 245, 245)
    if top - 0.35 + lift <= y < top - lift:
        return (64, 214, 122)
    if top - lift <= y < 0.85 - lift:
        return (0, 174, 66) if x < 0.5 else (0, 122, 46)
    return (245, 245, 245)
