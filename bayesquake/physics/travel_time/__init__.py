"""Travel times of first arrivals, in layers and in three dimensions, with their derivatives."""
