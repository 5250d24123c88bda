"""Tests of what the mount shows."""
