"""One model's posterior as another's data.

What is handed on is the likelihood of the first model's data, not its posterior: the first prior is
divided out, or it would count again in the second fit, and with it nothing that the data say.
Draws of a posterior taken as data would add its spread a second time.
"""

import json

import numpy as np

from bayesquake.errors import ResultError
from bayesquake.model.options import one_of
from bayesquake.results.configuration import stored_priors

__all__ = ["chain"]

HOW = one_of("likelihood")

ERRORS = 5
"""Monte-Carlo errors by which the posterior is more precise than the prior in every direction."""


def chain(first, into, how="likelihood"):
    """Return one model's posterior as a data set of another model.

    Parameters
    ----------
    first : xarray.DataTree
        A fit, whose quantities ``into`` accepts.
    into : bayesquake.model.model.Model
        With ``accepts``.
    how : {"likelihood"}
        The Gaussian likelihood of the quantities: their posterior mean and covariance with the
        prior's divided out, precision less precision. It is exact where both are Gaussian.

    Returns
    -------
    xarray.Dataset
        Of ``into``, with the attributes ``chained_from`` and ``chained_how``.

    Raises
    ------
    ResultError
        The models do not fit together, or the first data tell nothing of a direction.
    """
    how = HOW.checked("how", how)
    if into.accepts is None:
        raise ResultError(f"{into.name} takes no posterior of another model as its data")
    names = into.accepts.quantities
    missing = [name for name in names if name not in first["posterior"]]
    if missing:
        raise ResultError(
            f"the posterior of {first.attrs['model']} has no {', '.join(missing)}, of which "
            f"{into.name} takes the likelihood; it has {', '.join(map(str, first['posterior']))}"
        )
    draws = np.stack([first["posterior"][name].to_numpy().ravel() for name in names], axis=1)
    precision = np.linalg.inv(np.cov(draws, rowvar=False).reshape(len(names), -1))
    prior_mean, prior_precision = _prior(first, names)
    told = precision - np.diag(prior_precision)
    scale = np.sqrt(prior_precision)
    weakest = np.linalg.eigvalsh(told / np.outer(scale, scale))[0]
    least = ERRORS * np.sqrt(2 / len(draws))
    if weakest < least:
        raise ResultError(
            f"the data of {first.attrs['model']} tell nothing of some direction of "
            f"{', '.join(names)}: {weakest:.2g} of what the prior does, below {least:.2g}, the "
            f"error of {len(draws)} draws; fit with more draws or a wider prior"
        )
    covariance = np.linalg.inv(told)
    mean = covariance @ (precision @ draws.mean(axis=0) - prior_precision * prior_mean)
    dataset = into.accepts.dataset(mean, covariance)
    source = f"{first.attrs['model']}: {first.attrs['data_source']}"
    return dataset.assign_attrs(source=source, chained_from=_identity(first), chained_how=how)


def _prior(first, names):
    """Return means and precisions of independent priors, those of the fit or of its prior draws."""
    stored = stored_priors(json.loads(first.attrs["configuration"]))
    means, precisions = [], []
    for name in names:
        if name in stored and stored[name].family == "Normal":
            of = dict(stored[name].parameters)
            mean, sd = of["loc"], of["scale"]
        else:
            draws = first["prior"][name].to_numpy()
            mean, sd = draws.mean(), draws.std()
        means.append(mean)
        precisions.append(sd**-2)
    return np.array(means), np.array(precisions)


def _identity(first):
    """Return what the first fit was of, in one line."""
    kept = ("model", "model_hash", "data_hash", "seed", "git_commit")
    return json.dumps({name: str(first.attrs[name]) for name in kept})
