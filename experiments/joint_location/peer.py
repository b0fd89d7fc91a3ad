"""One event after the other: SciPy's least squares and importance sampling in NumPy."""

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import least_squares
from scipy.stats import multivariate_t

from bayesquake.physics.travel_time.layered import first_arrival_time

__all__ = ["Peer"]

SPACING_KM = 0.2
START_DEPTHS_KM = (2.0, 8.0, 16.0)
DEGREES_OF_FREEDOM = 8.0


class Peer:
    """A locator of single events in flat layers, for stations at sea level and normal errors.

    Parameters
    ----------
    dataset : xarray.Dataset
    farthest, deepest : float
        Largest distance and depth, km.
    sigma : float
        What adds to the errors of picks, s.
    """

    def __init__(self, dataset, farthest, deepest, sigma):
        distance = np.arange(0.0, farthest + 1, SPACING_KM)
        depth = np.arange(0.0, deepest + 1, SPACING_KM)
        self.spline = []
        for name in ("vp", "vs"):
            velocity = dataset[name].to_numpy()
            time = first_arrival_time(
                distance[:, None], depth, 0.0, dataset["top"].to_numpy(), velocity
            )
            self.spline.append(RectBivariateSpline(distance, depth, np.asarray(time)))
        self.dataset, self.sigma, self.deepest = dataset, sigma, deepest

    def locate(self, event, draws, rng):
        """Return mean and covariance (x, y, depth, origin time) of one event."""
        data = self.dataset
        own = np.flatnonzero(data["event_index"].to_numpy() == event)
        station = data["station_index"].to_numpy()[own].astype(int)
        is_s = data["phase_index"].to_numpy()[own] == 1
        x, y = data["station_x"].to_numpy()[station], data["station_y"].to_numpy()[station]
        time = data["time"].to_numpy()[own]
        scale = np.hypot(data["pick_error"].to_numpy()[own], self.sigma)

        def errors(position):
            position = np.atleast_2d(position)
            distance = np.hypot(position[:, :1] - x, position[:, 1:2] - y)
            depth = np.broadcast_to(position[:, 2:3], distance.shape)
            of_p, of_s = (spline.ev(distance, depth) for spline in self.spline)
            expected = position[:, 3:] + np.where(is_s, of_s, of_p)
            return (time - expected) / scale

        first = data["x"].to_numpy()[event], data["y"].to_numpy()[event]
        low, high = [-np.inf, -np.inf, 0, -np.inf], [np.inf, np.inf, self.deepest, np.inf]
        ends = [
            least_squares(lambda p: errors(p)[0], [*first, depth, 0.0], bounds=(low, high))
            for depth in START_DEPTHS_KM
        ]
        best = min(ends, key=lambda end: end.cost)
        shape = np.linalg.inv(best.jac.T @ best.jac)
        proposal = multivariate_t(best.x, shape, DEGREES_OF_FREEDOM)
        positions = proposal.rvs(draws, random_state=rng)
        inside = (positions[:, 2] >= 0) & (positions[:, 2] <= self.deepest)
        log_weight = -0.5 * (errors(positions) ** 2).sum(axis=1) - proposal.logpdf(positions)
        weight = np.where(inside, np.exp(log_weight - log_weight[inside].max()), 0.0)
        weight /= weight.sum()
        mean = weight @ positions
        return mean, (weight * (positions - mean).T) @ (positions - mean)
