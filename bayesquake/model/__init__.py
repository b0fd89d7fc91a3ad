"""What a model is, how it is found, its priors and its simulations."""
