"""Tests of what is in force, and of the files that say so."""
