"""What is in force: built-in values, configuration files, the environment and arguments, joined into a `Config`."""

from __future__ import annotations

from .values import FTPS_PORT, MQTT_PORT, TRUST_MODES, Config, MountOptions, default_cache_dir, parse_size

__all__ = ["FTPS_PORT", "MQTT_PORT", "TRUST_MODES", "Config", "MountOptions", "default_cache_dir", "parse_size"]
