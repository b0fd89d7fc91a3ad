"""Readers that turn files into `xarray.Dataset`, and results into NetCDF."""
