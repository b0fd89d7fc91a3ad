r"""Stiffness of faults: the shear stress that slip takes from every cell, K in Pa/m.

All are symmetric in the energy of slip and have no negative eigenvalue.

References
----------
Segall 2010, Earthquake and Volcano Deformation, ch. 2 (screw dislocations and their images)
Cochard & Rice 1997, doi:10.1029/97JB01222 (spectral stiffness of a plane, replication)
"""

import numpy as np

__all__ = ["antiplane_half_space", "planar_full_space"]


def antiplane_half_space(tops, bottoms, rigidity):
    r"""Return the stiffness of a vertical strike-slip fault that reaches the free surface.

    .. math:: K_{ij} = \frac{G}{2\pi} \left[\frac{1}{z_i - z_1} - \frac{1}{z_i - z_2}
              - \frac{1}{z_i + z_1} + \frac{1}{z_i + z_2}\right]

    Slip is uniform in cells between the depths z1 and z2, stress is that at their middles z_i, and
    the last two terms are the image above the surface.

    Parameters
    ----------
    tops, bottoms : (cell,) array
        Depths z1 and z2 (m).
    rigidity : float
        G (Pa).

    Returns
    -------
    (cell, cell) array
        Pa/m; symmetric where all cells are of one size.
    """
    tops, bottoms = np.asarray(tops, float), np.asarray(bottoms, float)
    z = ((tops + bottoms) / 2)[:, None]
    image = 1 / (z + bottoms) - 1 / (z + tops)
    return rigidity / (2 * np.pi) * (1 / (z - tops) - 1 / (z - bottoms) + image)


def planar_full_space(shape, cell_size, rigidity, poisson_ratio):
    r"""Return the stiffness of a plane in a full space that slips along x.

    .. math:: \hat K(k) = \frac{G}{2} \, \frac{k_x^2 / (1 - \nu) + k_y^2}{|k|}, \qquad \hat K(0) = 0

    on a grid of twice the size, so that a fault does not feel its periodic copies nearby.

    Parameters
    ----------
    shape : (int, int)
        Cells along x and y; their order is that of ``ravel`` of [ix, iy].
    cell_size : float
        Side of the square cells (m).
    rigidity : float
        G (Pa).
    poisson_ratio : float

    Returns
    -------
    (cell, cell) array
        Pa/m.
    """
    padded = [2 * length for length in shape]
    kx, ky = (2 * np.pi * np.fft.fftfreq(length, cell_size) for length in padded)
    wavenumber = np.hypot(kx[:, None], ky)
    wavenumber[0, 0] = 1.0
    symbol = rigidity / 2 * (kx[:, None] ** 2 / (1 - poisson_ratio) + ky**2) / wavenumber
    response = np.fft.ifft2(symbol).real
    ix, iy = (index.ravel() for index in np.indices(shape))
    return response[ix[:, None] - ix, iy[:, None] - iy]
