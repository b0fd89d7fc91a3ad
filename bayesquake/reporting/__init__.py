"""Reports of results: one HTML file, readable offline, and the figures in it."""
