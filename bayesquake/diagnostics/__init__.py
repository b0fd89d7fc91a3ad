"""Is the posterior right: convergence, calibration and predictive checks."""
