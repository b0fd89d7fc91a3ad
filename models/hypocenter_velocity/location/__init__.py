"""Hypocentres of many events at given velocities, each located by itself."""
