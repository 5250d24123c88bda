"""Random operations on a real mount, against a model in memory and against the printer's own disk."""
