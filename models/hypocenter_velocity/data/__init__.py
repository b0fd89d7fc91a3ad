"""Arrivals with stations and layers: the data set, its reader, the arrays of the model."""
