"""A plane for points on the Earth: Lambert's azimuthal equal-area projection about one centre.

Convention: ellipsoid WGS84; x to the east and y to the north, in km from the centre. A
projection is told by its centre (longitude, latitude) in degrees alone, so that whoever
knows the centre can go back. Longitudes may be counted to 180 or to 360 degrees.
"""

import numpy as np
import pyproj

__all__ = ["near_longitude", "to_geographic", "to_plane", "turned"]


def to_plane(longitude, latitude, centre):
    """Return the plane coordinates of points.

    Parameters
    ----------
    longitude, latitude : array_like
        Degrees.
    centre : (longitude, latitude)
        Degrees.

    Returns
    -------
    x, y : ndarray
        km east and north of the centre.
    """
    return projection(centre)(np.asarray(longitude, float), np.asarray(latitude, float))


def to_geographic(x, y, centre):
    """Return the longitude, from -180 to 180, and the latitude of points, the way back.

    Parameters
    ----------
    x, y : array_like
        km east and north of the centre.
    centre : (longitude, latitude)
        Degrees.

    Returns
    -------
    longitude, latitude : ndarray
        Degrees.
    """
    return projection(centre)(np.asarray(x, float), np.asarray(y, float), inverse=True)


def turned(x, y, rotation):
    """Return the coordinates of points on the plane along other axes.

    Parameters
    ----------
    x, y : array_like
        km.
    rotation : float
        By which the other axes are turned counterclockwise, degrees.

    Returns
    -------
    ndarray, ndarray
        km.
    """
    cosine, sine = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    x, y = np.asarray(x), np.asarray(y)
    return x * cosine + y * sine, y * cosine - x * sine


def near_longitude(longitude, reference):
    """Return longitudes counted so that they lie within 180 degrees of a reference.

    Parameters
    ----------
    longitude : array_like
        Degrees.
    reference : float
        Degrees.

    Returns
    -------
    ndarray
        Those within reach already are returned to the last bit.
    """
    longitude = np.asarray(longitude, float)
    return longitude + 360 * np.round((reference - longitude) / 360)


def projection(centre):
    """Return the projection about a centre."""
    longitude, latitude = map(float, centre)
    return pyproj.Proj(proj="laea", lon_0=longitude, lat_0=latitude, ellps="WGS84", units="km")
