"""What is derived from the draws, and how it is shown."""
