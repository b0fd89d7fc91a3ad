"""What a fit adds to its result: maximum, tests, bootstrap, axes and figures."""
