"""Tests of what the kernel sees."""
