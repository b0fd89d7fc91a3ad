"""What the model reads, and the arrays that it makes of it."""
