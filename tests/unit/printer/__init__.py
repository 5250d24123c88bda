"""Tests of what speaks to the printer."""
