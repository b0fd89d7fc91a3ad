"""Frames of mechanisms, their statistics, and couplings of two marginals."""
