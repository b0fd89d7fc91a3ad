"""Observed motions of faults: layout, reader and arrays."""
