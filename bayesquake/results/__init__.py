"""Results: what they hold, where they come from, and how they reach the disk whole."""
