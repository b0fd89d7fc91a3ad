"""Where to observe next: what sites tell of the unknowns, and which of them to take."""
