"""Arrival times, the coordinates of the chains and their own moves."""
