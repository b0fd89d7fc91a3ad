"""Steps that serve several motions at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayesquake.models.fault_friction.steps import shortest

TIMES = np.array([1.0, 2.0, 5.0])
INSIDE = st.lists(st.floats(0.01, 4.99), min_size=1, max_size=30)


@given(st.lists(INSIDE, min_size=1, max_size=4))
def test_no_step_is_longer_than_any_motion_takes_there(inner):
    taken = [np.unique(np.concatenate([ends, TIMES])) for ends in inner]
    ends = shortest(taken, TIMES)
    assert np.isin(TIMES, ends).all()
    assert (np.diff(ends, prepend=0.0) > 0).all()
    for one in taken:
        lengths = np.diff(one, prepend=0.0)
        cut = np.isin(one, TIMES)
        lengths = np.where(cut, np.maximum(lengths, np.roll(lengths, 1)), lengths)
        lengths[0] = one[0]
        for begin, end in zip(np.append(0.0, ends), ends, strict=False):
            touched = (one > begin) & (np.append(0.0, one[:-1]) < end)
            assert end - begin <= lengths[touched].min() * (1 + 1e-12)


def test_the_steps_of_one_motion_are_its_own():
    alone = np.array([0.3, 0.6, 0.9, 1.0, 1.3, 1.6, 1.9, 2.0, 3.5, 5.0])
    np.testing.assert_allclose(shortest([alone], TIMES), alone)
