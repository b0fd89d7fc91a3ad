"""The exceptions of this model."""

from bayesquake.errors import BayesquakeError


class SpectraError(BayesquakeError, ValueError):
    """Waveforms, picks or spectra cannot be read or break a model's conditions."""
