"""Mounts the storage of a Bambu Lab 3D printer as a folder."""

__version__ = "0.1.0"
