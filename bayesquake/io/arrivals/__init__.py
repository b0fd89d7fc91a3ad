"""Arrival times of P and S waves, from the files of locators and catalogues."""
