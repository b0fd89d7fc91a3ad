"""Log densities on flat unconstrained vectors, the face for samplers."""
