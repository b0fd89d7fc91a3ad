"""Forward code that two or more models share."""
