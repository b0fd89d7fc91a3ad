"""Rate-and-state friction from how a fault slips, with exact derivatives of its motion."""

from bayesquake.model.model import Model, Trial

from .coordinates import COORDINATES, recommended
from .data.arrays import prepare
from .data.faults import fault_in_half_space
from .data.reading import read
from .model import PRIORS, QUANTITIES, declare
from .motion import HELD_STEPS
from .results.answers import answers
from .results.derived import complete
from .results.figures import FIGURES
from .simulation import design_of, draw, lengths

__all__ = ["MODEL", "fault_in_half_space"]

UNSURE = {"start_sd": 0.05, "allow_unresolved": True}
MODEL = Model(
    name="fault_friction",
    title="Rate-and-state friction of a fault from its slip",
    references=(
        "Ito, Kano & Nagao 2023, doi:10.48550/arXiv.2109.13143",
        "Kano et al. 2013, doi:10.5047/eps.2013.08.002",
    ),
    declare=declare,
    priors=PRIORS,
    quantities=QUANTITIES,
    read=read,
    prepare=prepare,
    draw=draw,
    design_of=design_of,
    lengths=lengths,
    complete=complete,
    figures=FIGURES,
    answers=answers,
    coordinates=COORDINATES,
    recommended=recommended,
    held_steps=HELD_STEPS,
    trials=(
        Trial({"epochs": 24}),
        Trial(
            {"cells": (2, 2), "cell_size": 40e3, "epochs": 8, "stations": (2, 1), **UNSURE}, UNSURE
        ),
    ),
)
