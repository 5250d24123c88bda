"""Everything that can go wrong, on real mounts: what the user sees, and what is on the printer afterwards."""
