"""The model recovers simulated truth in every form and says what the data cannot tell."""

import jax
import numpy as np
import pytest
from scipy.special import digamma

import bayesquake as bq
from bayesquake.errors import OptionError
from bayesquake.model.priors import resolve_priors
from bayesquake.models.source_spectra.errors import SpectraError
from bayesquake.models.source_spectra.model import cluster_spectra, pair_location
from bayesquake.models.source_spectra.outputs import PoorPairWarning
from bayesquake.models.source_spectra.simulate import simulate_arrays
from bayesquake.models.source_spectra.spectrum import RUPTURE_MODELS

MODEL = bq.load_model("source_spectra")
NAMES = ("ln_fc1", "dln_fc", "ln_moment_ratio")
GOOD = {"ln_fc1": np.log(4.0), "dln_fc": np.log(4.0), "ln_moment_ratio": np.log(30.0)}


def simulated(seed=0, design=None, **parameters):
    return MODEL.simulate(jax.random.key(seed), design or {}, parameters)


@pytest.mark.parametrize("nu", [(2.0, 2.0), (10.0, 2.0)])
def test_intervals_hold_truths_drawn_from_the_prior(nu):
    pairs = 200
    truth, dataset = simulated(7, {"pairs": pairs, "nu1": nu[0], "nu2": nu[1]})
    result = bq.fit(MODEL, dataset, draws=200, seed=1)
    assert (result["triage"]["tier"] > 0).all()
    for name in NAMES:
        low, high = np.quantile(result["posterior"][name], [0.05, 0.95], axis=(0, 1))
        covered = ((truth[name] > low) & (truth[name] < high)).mean()
        assert abs(covered - 0.9) < 4 * np.sqrt(0.09 / pairs)


def test_log_ratios_have_the_bias_of_unequal_degrees_of_freedom():
    _, dataset = simulated(1, {"pairs": 400, "nu1": 10.0, "nu2": 2.0}, **GOOD)
    one = MODEL.prepare(simulated(1, {"pairs": 1}, **GOOD)[1])
    values = {name: np.array([value]) for name, value in GOOD.items()}
    loc = np.asarray(pair_location(values, one)[0])[0, 0, :60]
    bias = digamma(5) - np.log(5) - digamma(1) + np.log(1)
    error = dataset["log_power_ratio"].to_numpy()[:, 0] - loc
    assert abs(error.mean() - bias) < 4 * error.std() / np.sqrt(error.size)


def test_cluster_posterior_of_two_events_is_that_of_their_pair():
    _, dataset = simulated(2, {"events": 2, "frequencies": 30}, **GOOD)
    pair = bq.target(MODEL, dataset, form="pair")
    cluster = bq.target(MODEL, dataset, form="cluster")
    position = np.random.default_rng(0).normal(size=(5, 3))
    values = [
        {"ln_fc1": 1.4 + p[:1], "dln_fc": 1.4 + p[1:2], "ln_moment_ratio": 3.4 + p[2:]}
        for p in position
    ]
    renamed = {"ln_fc1": "ln_fc_first", "dln_fc": "dln_fc_to"}
    renamed["ln_moment_ratio"] = "ln_moment_ratio_to"
    differences = []
    for value in values:
        of_cluster = {renamed[name]: x for name, x in value.items()}
        of_cluster["ln_fc_first"] = of_cluster["ln_fc_first"][0]
        ours = pair.log_density(pair.unconstrain(value, pair.data), pair.data)
        theirs = cluster.unconstrain(of_cluster, cluster.data)
        differences.append(ours - cluster.log_density(theirs, cluster.data))
    assert np.ptp(differences) < 1e-9


def test_cluster_of_events_recovers_its_corner_frequencies():
    truth, dataset = simulated(3, {"events": 4, "traces": 3})
    result = bq.fit(MODEL, dataset, warmup=300, draws=300, seed=0)
    posterior = result["posterior"]
    for name in ("ln_fc", "ln_relative_moment"):
        error = posterior[name].mean(("chain", "draw")) - truth[name]
        assert (np.abs(error) <= 4 * posterior[name].std(("chain", "draw")) + 1e-12).all()
    assert bq.check(result).passed


def test_estimated_degrees_of_freedom_find_those_of_the_data():
    truth, dataset = simulated(4, {"pairs": 8, "nu1": 10.0, "nu2": 10.0}, **GOOD, logit_nu=-1.0)
    result = bq.fit(MODEL, dataset, degrees_of_freedom="estimated", draws=200, seed=0)
    nu = result["posterior"]["nu"]
    error = (nu.mean(("chain", "draw")) - truth["nu"]) / nu.std(("chain", "draw"))
    assert np.abs(error).max() < 4
    assert abs(float(error.mean())) < 4 / np.sqrt(8)


def test_spectra_that_scatter_more_than_they_may_are_flagged():
    design = {"pairs": 20, "nu1": 10.0, "nu2": 10.0}
    _, dataset = simulated(5, design, **GOOD)
    _, wild = simulated(5, design, **GOOD, logit_nu=-1.5)
    for name in ("nu1", "nu2"):
        wild[name] = dataset[name]
    assert float(bq.fit(MODEL, dataset, draws=100)["quality"]["overdispersed"].mean()) <= 0.1
    with pytest.warns(PoorPairWarning, match="20 of 20 pairs: overdispersed: pair1, pair2"):
        result = bq.fit(MODEL, wild, draws=100)
    assert bool(result["quality"]["overdispersed"].all())
    assert not bq.check(result).passed


def test_a_corner_beyond_the_band_is_flagged():
    _, dataset = simulated(6, {"pairs": 10}, **(GOOD | {"dln_fc": np.log(60.0)}))
    result = bq.fit(MODEL, dataset, draws=200, seed=0)
    assert bool(result["quality"]["f2_unresolved"].all())


def test_noise_that_is_modelled_does_not_spoil_the_sources():
    design = {"pairs": 1, "frequencies": 12, "noise_to_signal": 0.02, "nu1": 10.0, "nu2": 10.0}
    truth, dataset = simulated(8, design, **GOOD)
    result = bq.fit(MODEL, dataset, noise=True, draws=100, seed=0)
    for name in NAMES:
        draws = result["posterior"][name]
        error = draws.mean(("chain", "draw")) - truth[name]
        assert (np.abs(error) <= 4 * draws.std(("chain", "draw"))).all()
    assert not bool(result["quality"]["overdispersed"].any())


def test_stress_drops_need_moment_and_velocity():
    _, dataset = simulated(0)
    with pytest.raises(SpectraError, match=r"seismic moment of event 1.*shear velocity"):
        bq.fit(MODEL, dataset, rupture_models="s")
    with pytest.raises(ValueError, match="seismic moment of event 1"):
        bq.fit(MODEL, dataset, shear_velocity=3500.0)
    with pytest.raises(OptionError, match="rupture_models = 'x' must be one of all, p"):
        bq.fit(MODEL, dataset, shear_velocity=3500.0, moment=1e13, rupture_models="x")


def test_unknown_rupture_model_widens_stress_drops_by_its_own_spread():
    _, dataset = simulated(9, {"pairs": 2}, **GOOD)
    options = {"shear_velocity": 3500.0, "moment": 1e13, "draws": 500, "seed": 0}
    known = bq.fit(MODEL, dataset, rupture_models="brune_s", **options)["posterior"]
    unknown = bq.fit(MODEL, dataset, **options)["posterior"]
    spread = 9 * np.log(list(RUPTURE_MODELS.values())).var()
    wider = unknown["ln_dsigma1"].var(("chain", "draw")) - known["ln_dsigma1"].var(
        ("chain", "draw")
    )
    assert np.allclose(wider, spread, rtol=0.15)
    assert np.array_equal(known["ln_dsigma_ratio"], unknown["ln_dsigma_ratio"])
    apart = known["ln_dsigma1"].std(("chain", "draw")) / known["ln_fc1"].std(("chain", "draw"))
    assert np.allclose(apart, 3.0)


def test_hierarchical_stress_drops_find_mean_and_spread():
    design = {"pairs": 12, "hierarchical": True, "rupture_model": "brune_s", "nu1": 20, "nu2": 20}
    truth, dataset = simulated(10, design, mu_dsigma=np.log(3e6), tau_dsigma=0.6)
    result = bq.fit(
        MODEL,
        dataset,
        hierarchical=True,
        shear_velocity=3500.0,
        rupture_models="brune_s",
        warmup=400,
        draws=300,
        seed=0,
    )
    posterior = result["posterior"]
    for name in ("mu_dsigma", "tau_dsigma"):
        error = float(posterior[name].mean()) - float(truth[name])
        assert abs(error) < 4 * float(posterior[name].std()), name
    assert float(posterior["tau_dsigma"].mean()) == pytest.approx(0.6, abs=0.35)


def test_traced_simulation_has_the_distribution_of_the_simulator():
    _, dataset = simulated(11, {"pairs": 3, "frequencies": 8})
    priors = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}
    arrays = MODEL.prepare(dataset)
    _, drawn = jax.vmap(lambda key: simulate_arrays(key, arrays, priors))(
        jax.random.split(jax.random.key(1), 2000)
    )
    others = [simulated(seed, {"pairs": 200, "frequencies": 8})[1] for seed in range(10)]
    theirs = np.concatenate([other["log_power_ratio"].to_numpy()[:, 0] for other in others])
    ours = np.asarray(drawn.y)[:, 0, 0]
    for j in range(8):
        error = ours[:, j].mean() - theirs[:, j].mean()
        assert abs(error) < 4 * np.sqrt(2 * ours[:, j].var() / 2000)
        assert abs(ours[:, j].std() / theirs[:, j].std() - 1) < 0.1


def test_replicates_of_a_cluster_have_its_powers_on_average():
    truth, dataset = simulated(12, {"events": 3, "frequencies": 6, "traces": 2})
    keys = jax.random.split(jax.random.key(0), 400)
    values = {name: truth[name] for name in ("ln_fc", "ln_relative_moment")}
    powers = np.stack([MODEL.replicate(key, values, dataset)["power"].to_numpy() for key in keys])
    # Given the sources, events share one path: their ratios are those of the spectra.
    ratio = np.log(powers[:, 0] / powers[:, 1])
    arrays = MODEL.prepare(dataset)
    log_s2 = np.asarray(cluster_spectra(values, arrays)[0])[:, :, :6]
    error = (ratio - (log_s2[0] - log_s2[1])).mean(axis=0)
    assert np.abs(error).max() < 4.5 * ratio.std(axis=0).max() / np.sqrt(400)


def test_a_single_trace_has_no_level_of_its_own():
    _, dataset = simulated(13, {"pairs": 2, "traces": 3, "frequencies": 10}, **GOOD)
    dataset["mask"] = dataset["mask"].copy()
    dataset["mask"][0, 1:] = 0
    target = bq.target(MODEL, dataset, levels=True)
    values = target.prior_draw(jax.random.key(0), target.data)
    assert (values["level"][0] == 0).all()
    assert (values["level"][1] != 0).all()


def test_box_of_the_path_follows_the_events_with_data():
    design = {"events": 3, "frequencies": 10, "traces": 2, "noise_to_signal": 0.01}
    _, dataset = simulated(14, design, **GOOD)
    scaled = dataset.copy()
    for name in ("power", "noise_power"):
        scaled[name] = dataset[name] * 1e6
    whole = MODEL.prepare(scaled, noise=True).noise.box
    smallest = int(np.argmin(np.median(scaled["power"], axis=(1, 2))))
    scaled["mask"] = scaled["mask"].copy()
    scaled["mask"][smallest, 1] = 0
    scaled["power"] = scaled["power"].copy()
    scaled["power"][smallest, 1] = 1.0
    parted = MODEL.prepare(scaled, noise=True).noise.box
    used = slice(0, 10)
    assert np.allclose(parted.low[0, used], whole.low[0, used])
    assert np.abs(parted.low[1, used] - whole.low[1, used]).max() < 6.0


def test_replicates_follow_the_spectrum_of_the_fit():
    _, dataset = simulated(15, {"pairs": 1, "frequencies": 12}, **GOOD)
    values = {name: np.array([value]) for name, value in GOOD.items()}
    replicas = [
        MODEL.replicate(jax.random.key(0), values, dataset, spectrum=spectrum)
        for spectrum in ("boatwright", "brune")
    ]
    locations = [
        np.asarray(pair_location(values, MODEL.prepare(dataset, spectrum=spectrum))[0])[..., :12]
        for spectrum in ("boatwright", "brune")
    ]
    moved = replicas[1]["log_power_ratio"] - replicas[0]["log_power_ratio"]
    assert np.allclose(moved, locations[1] - locations[0])


def test_a_pair_of_one_trace_has_no_level_and_no_funnel():
    _, dataset = simulated(16, {"pairs": 2, "frequencies": 8}, **GOOD)
    target = bq.target(MODEL, dataset, levels=True)
    position = target.initial(jax.random.key(0), target.data)
    gradient = target.gradient(position, target.data)
    drawn = np.array([name.startswith("level_drawn") for name in target.coordinates])
    assert drawn.sum() == 2
    assert np.allclose(gradient[drawn], -position[drawn], rtol=1e-12)


def test_tempering_weighs_every_spectrum_by_its_own_frequencies():
    _, dataset = simulated(17, {"pairs": 2, "frequencies": 12}, **GOOD)
    dataset = dataset.assign_coords(freq=np.arange(2.0, 8.0, 0.5))
    mask = np.zeros((2, 1, 12), np.int8)
    mask[0, :, ::2], mask[1, :, 1::2] = 1, 1
    dataset["mask"] = (("pair", "trace", "freq"), mask)
    tempered = dataset.assign_attrs(tempered=1, half_bandwidth_hz=0.5)
    weights = MODEL.prepare(tempered).mask[..., :12]
    assert np.array_equal(weights, mask)
    assert MODEL.prepare(tempered.assign_attrs(half_bandwidth_hz=1.0)).mask.max() == 0.5
