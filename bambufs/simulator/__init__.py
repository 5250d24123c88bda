"""A printer in software: both families of Bambu Lab printers, with their quirks.

It imports nothing from the rest of bambufs, so that the client and its test double cannot share
a mistake.
"""

from __future__ import annotations

from bambufs.simulator.card import make_card
from bambufs.simulator.desk import Request
from bambufs.simulator.gates import Gate
from bambufs.simulator.log import Command
from bambufs.simulator.printer import Printer
from bambufs.simulator.quirk_table import FAMILY_MODEL, MODELS, TABLE, Model, Quirk
from bambufs.simulator.quirks import Quirks, parse_setting
from bambufs.simulator.threemf import make_3mf

__all__ = [
    "FAMILY_MODEL",
    "MODELS",
    "TABLE",
    "Command",
    "Gate",
    "Model",
    "Printer",
    "Quirk",
    "Quirks",
    "Request",
    "make_3mf",
    "make_card",
    "parse_setting",
]
