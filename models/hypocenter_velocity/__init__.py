"""Hypocentres, velocities and station terms, all at once, from arrival times of P and S."""

from bayesquake.model.model import Model, Trial

from .coordinates import COORDINATES, recommended
from .data.arrays import prepare
from .data.reading import read
from .location.given import held_at
from .location.locate import locate, located_again
from .model import PRIORS, QUANTITIES, declare
from .moves import MOVES
from .results.answers import answers
from .results.calibrated import calibrated
from .results.derived import complete
from .results.figures import FIGURES
from .results.leaving_out import FOLDS
from .simulation import design_of, draw, lengths

__all__ = ["MODEL", "held_at", "locate"]

OWN_S = {
    "s_velocity": "own",
    "errors": "normal",
    "velocity_prior": "kink",
    "s_delay": "free_mean",
}
TWO_PROFILES = {"profiles": 2}
MODEL = Model(
    name="hypocenter_velocity",
    title="Joint hypocentres, velocities and station terms",
    references=(
        "Ryberg & Haberland 2019, doi:10.1093/gji/ggz177",
        "Waldhauser & Ellsworth 2000, doi:10.1785/0120000006",
    ),
    declare=declare,
    priors=PRIORS,
    quantities=QUANTITIES,
    read=read,
    prepare=prepare,
    draw=draw,
    design_of=design_of,
    lengths=lengths,
    calibrated=calibrated,
    complete=complete,
    figures=FIGURES,
    answers=answers,
    coordinates=COORDINATES,
    moves=MOVES,
    folds=FOLDS,
    recommended=recommended,
    writers={"locate": located_again},
    trials=(
        Trial({"events": 6, "stations": 8}),
        Trial({"events": 6, "stations": 8, **OWN_S}, OWN_S),
        Trial({"events": 6, "stations": 8, **TWO_PROFILES}, TWO_PROFILES),
    ),
)
