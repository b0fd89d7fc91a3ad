"""Rate-and-state friction on elastic faults: stiffness, laws, trajectories."""
