"""Speaks to a printer; has never heard of FUSE."""
