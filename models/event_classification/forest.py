"""What posterior draws of all parents say: the likeliest parent, and how large clusters are."""

import numpy as np

__all__ = ["cluster_counts", "modal_parents", "size_classes"]


def modal_parents(parent):
    """Return the most frequent parent of every event, and its share of all draws.

    Parameters
    ----------
    parent : (draw, event)
        Positions, -1 for background.

    Returns
    -------
    mode : (event,)
        The earliest of equally frequent ones; -1 if the event is background in every draw.
    share : (event,)
    """
    draws, events = parent.shape
    pairs = (parent + events * np.arange(events))[parent >= 0]
    pairs, counts = np.unique(pairs, return_counts=True)
    child, place = np.divmod(pairs, events)
    order = np.lexsort((place, -counts, child))
    triggered, first = np.unique(child[order], return_index=True)
    mode, share = np.full(events, -1), np.zeros(events)
    mode[triggered], share[triggered] = place[order][first], counts[order][first] / draws
    return mode, share


def size_classes(largest):
    """Return the limits of classes of cluster sizes 1, 2, 3 to 4, 5 to 8, ...

    Returns
    -------
    low, high : (class,)
        The least and the largest size of each class; the last one holds ``largest``.
    """
    high = 2 ** np.arange(int(np.ceil(np.log2(max(largest, 1)))) + 1)
    return np.concatenate([[1], high[:-1] + 1]), high


def cluster_counts(size, classes):
    """Return how many clusters fall into each class of sizes, (draw, class).

    Parameters
    ----------
    size : (draw, event)
        Number of events in the cluster of every event.
    classes : int
        Number of the classes of `size_classes`.
    """
    draws = len(size)
    place = np.ceil(np.log2(size)).astype(int) + classes * np.arange(draws)[:, None]
    counts = np.bincount(place.ravel(), 1 / size.ravel(), minlength=draws * classes)
    return np.round(counts).astype(int).reshape(draws, classes)
