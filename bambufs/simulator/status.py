"""What a printer reports about itself over MQTT: a flat table of values, and what changed in it.

Safe for many threads. Keys and forms are those of the "print" object of real reports
(greghesp/ha-bambulab models.py, Doridian/OpenBambuAPI mqtt.md).
"""

from __future__ import annotations

import copy
import ipaddress
import threading
from typing import Any

from bambufs.simulator.quirk_table import Model
from bambufs.simulator.quirks import Quirks

Json = dict[str, Any]

_SIGNATURE_WANTED = 0x20000000
_STORAGE = {"ok": 1, "readonly": 2, "absent": 0, "denied": 0}
_STORAGE_SHIFT = 8
_SLOTS = (("GFA00", "PLA", "00AE42FF", 85), ("GFG00", "PETG", "FFFFFFFF", 40), ("", "", "", 0), ("", "", "", 0))


class Status:
    """The values, and which of them changed since the last report."""

    def __init__(self, model: Model, *, host: str, quirks: Quirks) -> None:
        self._lock = threading.Lock()
        self._quirks = quirks
        self._values: Json = _at_rest(model, host)
        self._reported: Json = {}
        self._sequence = 0

    def set(self, **values: Any) -> None:
        """Change some values."""
        with self._lock:
            self._values.update(copy.deepcopy(values))

    def __getitem__(self, key: str) -> Any:
        with self._lock:
            return copy.deepcopy(self._values[key])

    def snapshot(self) -> Json:
        """All values as a copy."""
        self._follow_quirks()
        with self._lock:
            return copy.deepcopy(self._values)

    def full_report(self) -> Json:
        """A whole ``push_status``."""
        values = self.snapshot()
        with self._lock:
            self._reported = copy.deepcopy(values)
            return self._wrapped_locked(values, msg=0)

    def delta_report(self) -> Json:
        """A ``push_status`` of what changed since the last report; it may be empty of values."""
        values = self.snapshot()
        with self._lock:
            changed = {key: value for key, value in values.items() if self._reported.get(key) != value}
            self._reported = copy.deepcopy(values)
            return self._wrapped_locked(changed, msg=1)

    def _wrapped_locked(self, values: Json, *, msg: int) -> Json:
        self._sequence += 1
        head = {"command": "push_status", "msg": msg, "sequence_id": str(self._sequence)}
        return {"print": values | head}

    def _follow_quirks(self) -> None:
        card = self._quirks.text("card")
        changes: Json = {"sdcard": card in ("ok", "readonly"), "home_flag": _STORAGE[card] << _STORAGE_SHIFT}
        if self._quirks.family == "vsftpd":
            signed = 0 if self._quirks.flag("developer_mode") else _SIGNATURE_WANTED
            changes["fun"] = format(0x1A000000 & ~_SIGNATURE_WANTED | signed, "X")
        self.set(**changes)


def _at_rest(model: Model, host: str) -> Json:
    return {
        "gcode_state": "IDLE",
        "mc_percent": 0,
        "mc_remaining_time": 0,
        "mc_print_stage": "1",
        "layer_num": 0,
        "total_layer_num": 0,
        "subtask_name": "",
        "gcode_file": "",
        "gcode_file_prepare_percent": "0",
        "print_error": 0,
        "hms": [],
        "stg_cur": -1 if model.family == "vsftpd" else 255,
        "print_type": "idle",
        "task_id": "0",
        "subtask_id": "0",
        "project_id": "0",
        "profile_id": "0",
        "spd_lvl": 2,
        "spd_mag": 100,
        "nozzle_temper": 25.0,
        "nozzle_target_temper": 0.0,
        "bed_temper": 24.0,
        "bed_target_temper": 0.0,
        "chamber_temper": 26.0,
        "nozzle_diameter": "0.4",
        "cooling_fan_speed": "0",
        "wifi_signal": "-45dBm",
        "net": {"info": [{"ip": _little_endian(host), "mask": 0x00FFFFFF}]},
        "lights_report": [{"node": "chamber_light", "mode": "on"}],
        "ams": _ams(),
    }


def _little_endian(host: str) -> int:
    address = ipaddress.ip_address(host)
    return int.from_bytes(address.packed, "little") if address.version == 4 else 0


def _ams() -> Json:
    trays = [
        {"id": str(number), "tray_info_idx": info, "tray_type": kind, "tray_color": colour, "remain": left}
        for number, (info, kind, colour, left) in enumerate(_SLOTS)
    ]
    return {
        "ams": [{"id": "0", "humidity": "4", "temp": "25.3", "tray": trays}],
        "ams_exist_bits": "1",
        "tray_exist_bits": "3",
        "tray_now": "255",
    }
