"""What the printer's error numbers mean, in words for its owner.

Two kinds: `print_error`, one number shown as XXXX_XXXX, and HMS entries (health messages), two numbers
shown as HMS_XXXX_XXXX_XXXX_XXXX. The numbers were seen in maziggy/bambuddy, greghesp/ha-bambulab (whose
hms_error_text tables hold thousands) and sksat/bambu-rs; only those are kept that bear on printing a file
from the card, and none is guessed. Of other HMS codes the part and the severity are told, which are
encoded in them, and where to look further.
"""

from __future__ import annotations

PARSE_FAILED = 0x0500_4003
BUSY = 0x0500_4004
STORAGE_FAULT = 0x0500_C010
CANCELLED = frozenset({0x0300_400C, 0x0500_400E})
NOT_AUTHORISED = frozenset({0x0502_4007, 0x0502_4009})
"""Answers to an unsigned and to a wrongly signed command (84033543 and 84033545 in decimal)."""
HMS_NOT_AUTHORISED = "HMS_0500_0500_0001_0007"

DEVELOPER_MODE = (
    "The printer refuses to be controlled from here. On its screen switch on LAN Only mode and then Developer "
    "Mode (Settings, Network), and try again; the access code may change with that."
)

_NO_MAPPING = (
    "The printer could not match the job's filaments to AMS trays. Check ams_mapping=, or use use_ams=no for the "
    "external spool."
)

PRINT_ERRORS: dict[int, str] = {
    PARSE_FAILED: (
        "The printer could not read the print file: it is incomplete or damaged, the plate is not in it, or "
        "its name or place confuses the printer. Copy it again, under a plain name."
    ),
    0x0500_4002: "The printer does not accept this file's path or name. Use a plain name, in another folder.",
    BUSY: "The printer is busy with another job. Wait until it is done.",
    0x0500_4005: "The printer is updating its firmware and takes no job until that is done.",
    0x0500_4006: "The printer has not enough free storage for this job. Delete something from its card.",
    0x0500_8013: "The print file is gone; was the card or USB stick taken out?",
    STORAGE_FAULT: "The printer could not read or write its card (or USB stick). Reinsert or replace it.",
    0x0502_402D: "The printer could not read the 3MF file. Export it from the slicer and copy it again.",
    0x0300_400C: "The print was cancelled.",
    0x0500_400E: "The print was cancelled.",
    0x0300_8004: "The filament ran out. Load new filament and resume.",
    0x0700_8011: "The filament in the AMS ran out. Put new filament into the same slot and resume.",
    **dict.fromkeys((0x0700_8012, 0x07FF_8012), _NO_MAPPING),
    **dict.fromkeys(NOT_AUTHORISED, DEVELOPER_MODE),
}

HMS_TEXTS: dict[str, str] = {
    HMS_NOT_AUTHORISED: DEVELOPER_MODE,
    "HMS_0500_0100_0003_0004": "The card is full; no video can be recorded. Delete something from it.",
    "HMS_0500_0100_0003_0005": "The card is read-only; no video can be recorded.",
    "HMS_0500_0100_0003_0006": "The card is not formatted. Format it in the printer.",
    "HMS_0500_0100_0003_0007": "There is no card in the printer; a timelapse cannot be recorded.",
    "HMS_0500_0300_0002_000D": "The printer's card reader is not working.",
    "HMS_0500_0300_0002_0020": "The card is too small to hold the print files.",
    "HMS_0500_0300_0003_0022": "The card has become slow; format or replace it.",
    "HMS_0500_0400_0001_0001": "The printer could not download the print job; check its network.",
    "HMS_0500_0400_0001_0003": "The print file cannot be read; copy it to the printer again.",
    "HMS_0500_0400_0001_0004": "The printer does not permit this print file.",
    "HMS_0500_0400_0001_0006": "The last print could not be resumed.",
    "HMS_0500_0400_0003_0008": "The door seems to be open.",
}

_SEVERITIES = {1: "fatal", 2: "serious", 3: "common", 4: "info"}
_PARTS = {
    0x03: "motion controller",
    0x05: "mainboard",
    0x07: "AMS",
    0x08: "toolhead",
    0x0C: "camera and lidar",
}
_LOOK_UP = "Its meaning is listed at https://wiki.bambulab.com/en/hms/home"


def print_error_code(number: int) -> str:
    """0x05004003 as the printer's screen shows it: 0500_4003."""
    return f"{number >> 16 & 0xFFFF:04X}_{number & 0xFFFF:04X}"


def print_error_text(number: int) -> str:
    """The meaning of a `print_error`; for an unknown one, where to look it up."""
    code = print_error_code(number)
    return PRINT_ERRORS.get(number, f"The printer reports error {code}. {_LOOK_UP}.")


def hms_code(attr: int, code: int) -> str:
    """The two numbers of an HMS entry as the printer shows them: HMS_0500_0500_0001_0007."""
    return f"HMS_{attr >> 16 & 0xFFFF:04X}_{attr & 0xFFFF:04X}_{code >> 16 & 0xFFFF:04X}_{code & 0xFFFF:04X}"


def hms_severity(code: int) -> str:
    """fatal, serious, common, info, or unknown."""
    return _SEVERITIES.get(code >> 16 & 0xFFFF, "unknown")


def hms_text(attr: int, code: int) -> str:
    """The meaning of an HMS entry; for an unknown one its part and where to look it up."""
    name = hms_code(attr, code)
    if name in HMS_TEXTS:
        return HMS_TEXTS[name]
    part = _PARTS.get(attr >> 24 & 0xFF, "printer")
    return f"The {part} reports {name} ({hms_severity(code)}). {_LOOK_UP}."
