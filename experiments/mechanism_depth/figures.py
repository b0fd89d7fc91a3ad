"""The figure of the experiment."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chi2

__all__ = ["permuted"]


def permuted(ratios, observed, df):
    """Draw likelihood ratios under permuted depths, their chi-square limit and the observed one.

    Parameters
    ----------
    ratios : (permutation,)
    observed : float
    df : int
    """
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.hist(ratios, 40, density=True, alpha=0.5, label="depths permuted")
    grid = np.linspace(0.0, max(observed, ratios.max()) * 1.05, 300)
    axis.plot(grid, chi2.pdf(grid, df), label=f"χ² with {df} degrees of freedom")
    axis.axvline(observed, color="k", lw=1, label="observed")
    axis.set(xlabel="likelihood ratio of all coefficients", ylabel="density")
    axis.legend(fontsize=8)
    return figure
