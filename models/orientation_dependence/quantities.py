"""The quantities of the posterior: unit and meaning of each, and those calibrated."""

from bayesquake.model.model import Quantity

from .statistics import eigenvalues

__all__ = ["QUANTITIES", "calibrated"]

QUANTITIES = {
    "theta": Quantity("1", "coefficients of the statistic times standardised depth", ("stat",)),
    "eigenvalue": Quantity(
        "1", "largest and smallest eigenvalue of A less the middle one", ("block", "rank")
    ),
    "axis": Quantity(
        "1", "eigenvector of A, (north, east, down)", ("block", "rank", "xyz"), role="latent"
    ),
}


def calibrated(values, data):
    """Return the scalars whose ranks and coverage are checked.

    Parameters
    ----------
    values : mapping
        ``theta`` (stat,).
    data : arrays.MechanismArrays

    Returns
    -------
    dict of scalars
        Every θ, and the eigenvalues of every block.
    """
    theta = values["theta"]
    coefficients = {f"theta_{k}": theta[k] for k in range(data.s.shape[-1])}
    blocks = data.forms.shape[-4]
    if not blocks:
        return coefficients
    found = eigenvalues(theta, data.forms)
    return coefficients | {
        f"eigenvalue_{block}_{rank}": found[block, place]
        for block in range(blocks)
        for place, rank in enumerate(("largest", "smallest"))
    }
