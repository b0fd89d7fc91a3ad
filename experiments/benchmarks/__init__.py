"""Speed and memory against other ways to write the same density."""
