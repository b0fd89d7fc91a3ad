"""The entries of the experiment, in order."""

import resource
import time

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.diagnostics.convergence import check
from bayesquake.inference.fit import fit
from bayesquake.model.registry import load_model
from bayesquake.models.hypocenter_velocity import locate
from bayesquake.reporting.html import report
from bayesquake.results.netcdf import write_netcdf

from . import figures
from .ablation import ablation
from .chains import AXES, convergence_table
from .few_events import hayward
from .parkfield import parkfield
from .peer import Peer
from .straight_rays import arrivals_read, straight_rays
from .study import MODEL_NAME, calaveras, flat_calaveras, simulated_arrivals
from .two_profiles import two_profiles

__all__ = ["ENTRIES"]


def reference_settings(study):
    """Return the options of `locate` that are those of the reference locations."""
    names = ("bounds", "deepest", "sigma")
    given = {name: study.config["reference"][name] for name in names}
    return given | {"errors": "normal", "pick_errors": "add", "seed": study.config["seed"]}


def calaveras_locations(study, folder):
    """Locate the events as NonLinLoc did, and compare.

    Returns
    -------
    str
        The median difference of depths in standard deviations.
    """
    reference = pd.read_csv(study.path("calaveras/nlloc_reference_half.csv"))
    found = locate(flat_calaveras(study, folder), **reference_settings(study))
    located = found["locations"].to_dataset()
    located = located.assign_coords(event=located["event"].astype(str))
    reference["event"] = reference["event_id"].astype(str)
    reference = reference[reference["event"].isin(located["event"].to_numpy())]
    ours = located.sel(event=reference["event"].to_numpy())
    mean = ours["mean"].to_numpy()
    sd = np.sqrt(np.diagonal(ours["covariance"].to_numpy(), axis1=1, axis2=2))
    theirs = reference[["expect_x_km", "expect_y_km", "expect_z_km"]].to_numpy()
    their_sd = np.sqrt(reference[["cov_xx", "cov_yy", "cov_zz"]].to_numpy())
    shift, ratio = np.abs(mean - theirs) / their_sd, sd / their_sd
    table = pd.DataFrame(
        {
            "shift_median": np.median(shift, axis=0),
            "shift_95": np.quantile(shift, 0.95, axis=0),
            "sd_ratio_5": np.quantile(ratio, 0.05, axis=0),
            "sd_ratio_95": np.quantile(ratio, 0.95, axis=0),
        },
        index=pd.Index(AXES, name="axis"),
    )
    table.to_csv(folder / "beside_nonlinloc.csv", float_format="%.3f")
    weights = ["pareto_k", "effective_draws", "modes", "rounds"]
    located[weights].to_dataframe().to_csv(folder / "weights.csv", float_format="%.3f")
    drawn = figures.depths_beside_another(
        (mean[:, 2], sd[:, 2]), (theirs[:, 2], their_sd[:, 2]), "NonLinLoc"
    )
    drawn.savefig(folder / "depths.png", dpi=150)
    return f"depths differ by {table['shift_median']['depth']:.2f} sd, median"


def calaveras_joint(study, folder):
    """Draw from the joint posterior and show how deep its events are against the catalogue.

    A run that was ended goes on after the blocks of draws that it left.

    Returns
    -------
    str
        The worst R-hat of velocities and station terms, and mean depths.
    """
    dataset = calaveras(study, folder)
    blocks = folder / "blocks"
    result = fit(
        load_model(MODEL_NAME),
        dataset,
        seed=study.config["seed"],
        warmup=study.mode["warmup"],
        draws=study.mode["draws"],
        checkpoint=blocks,
        resume=blocks.exists(),
    )
    write_netcdf(result, folder / "joint.nc")
    posterior = result["posterior"].to_dataset()
    table = convergence_table(result)
    table.to_csv(folder / "convergence.csv", float_format="%.4g")
    layers = ["top", "vp", "vp_sd"]
    speed = posterior["vp"]
    values = [dataset["top"], speed.mean(("chain", "draw")), speed.std(("chain", "draw"))]
    pd.DataFrame(dict(zip(layers, map(np.asarray, values), strict=True))).to_csv(
        folder / "velocities.csv", index=False, float_format="%.3f"
    )
    rows = check(result).rows
    pd.DataFrame(rows).to_csv(folder / "checks.csv", index=False)
    catalogue = dataset["depth"].to_numpy()
    joint = np.quantile(posterior["depth"], [0.05, 0.5, 0.95], axis=(0, 1))
    alone = locate(dataset, seed=study.config["seed"])["locations"]["mean"][:, 2].to_numpy()
    figures.depths(catalogue, joint, alone).savefig(folder / "depth_shift.png", dpi=150)
    worst = table.loc[["vp", "vpvs", "station_term"], "r_hat"].max()
    seconds = result.attrs["run_seconds"]
    return (
        f"R-hat of velocities and station terms {worst:.4f} in {seconds:.0f} s; "
        f"mean depth {joint[1].mean():.1f} km, catalogue {catalogue.mean():.1f} km"
    )


def simulated_joint(study, folder):
    """Draw from the joint posterior of arrivals that another program simulated.

    Returns
    -------
    str
        The worst R-hat, and how far the truth is from the posterior.
    """
    dataset, truth = simulated_arrivals(study, folder)
    result = fit(
        load_model(MODEL_NAME),
        dataset,
        seed=study.config["seed"],
        warmup=study.mode["simulated_warmup"],
        draws=study.mode["simulated_draws"],
    )
    write_netcdf(result, folder / "joint.nc")
    report(result, folder / "joint.html")
    chains = convergence_table(result)
    chains.to_csv(folder / "convergence.csv", float_format="%.4g")
    posterior = result["posterior"].to_dataset()
    mean, sd = (getattr(posterior, moment)(("chain", "draw")) for moment in ("mean", "std"))
    low, high = (posterior.quantile(q, ("chain", "draw")) for q in (0.05, 0.95))
    rows = {}
    for name, true in truth.items():
        inside = (low[name].to_numpy() < true) & (true < high[name].to_numpy())
        away = np.abs((mean[name].to_numpy() - true) / sd[name].to_numpy())
        rows[name] = {"in_90": inside.mean(), "farthest_sd": away.max(), "count": np.size(true)}
    table = pd.DataFrame(rows).T.rename_axis("quantity")
    table.to_csv(folder / "truth.csv", float_format="%.3f")
    shared = table.loc[["vp", "vpvs", "station_term"], "farthest_sd"].max()
    return (
        f"R-hat {chains['r_hat'].max():.4f}; velocities and station terms within "
        f"{shared:.1f} sd, {100 * table.loc['depth', 'in_90']:.0f} % of depths in 90 %"
    )


def wrong_picks(study, folder):
    """Locate simulated events, of which some picks are late, under both distributions of errors.

    Returns
    -------
    str
        The growth of the root mean square error of places.
    """
    rms = {}
    for wrong in (0.0, study.config["outliers"]["share"]):
        simulated = straight_rays(study.config["seed"], study.mode["simulated_events"], wrong=wrong)
        source, station, arrivals = simulated
        dataset = arrivals_read(load_model(MODEL_NAME), folder, station, arrivals, source)
        for errors in ("student_t", "normal"):
            mean = locate(dataset, errors=errors, seed=study.config["seed"])["locations"]["mean"]
            place = source[mean["event"].to_numpy().astype(int)]
            rms[errors, wrong] = np.sqrt(((mean.to_numpy() - place) ** 2).sum(axis=1).mean())
    table = pd.Series(rms).rename_axis(["errors", "wrong"]).unstack().rename_axis(columns=None)
    table["growth"] = table.iloc[:, 1] / table.iloc[:, 0]
    table.to_csv(folder / "rms_km.csv", float_format="%.3f")
    growth = table["growth"]
    return f"Student's t {growth['student_t']:.2f}, normal {growth['normal']:.2f}"


def many_events(study, folder):
    """Locate copies of the events, more and more of them, and a few one by one.

    Returns
    -------
    str
        Milliseconds an event, and how much faster that is than one by one.
    """
    dataset = flat_calaveras(study, folder)
    settings = reference_settings(study)
    rows = []
    for size in study.mode["sizes"]:
        copies = copied(dataset, size)
        locate(copies, **settings)
        began = time.perf_counter()
        found = locate(copies, **settings)
        seconds = time.perf_counter() - began
        first_round = float((found["locations"]["rounds"] == 1).mean())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        rows.append(
            {
                "events": size,
                "seconds": seconds,
                "ms_per_event": 1e3 * seconds / size,
                "in_one_round": first_round,
                "peak_memory_gb": peak,
            }
        )
    reach = 2 * max(float(np.abs(dataset[f"station_{axis}"]).max()) for axis in ("x", "y"))
    peer = Peer(dataset, reach, settings["deepest"], settings["sigma"][0])
    rng = np.random.default_rng(study.config["seed"])
    began = time.perf_counter()
    for event in range(study.mode["peer_events"]):
        peer.locate(event, draws=512, rng=rng)
    one_by_one = 1e3 * (time.perf_counter() - began) / study.mode["peer_events"]
    table = pd.DataFrame(rows)
    table["one_by_one_ms"] = one_by_one
    table.to_csv(folder / "cost.csv", index=False, float_format="%.4g")
    last = table["ms_per_event"].iloc[-1]
    return f"{last:.1f} ms an event, {one_by_one / last:.1f} times as fast as one by one"


def copied(dataset, count):
    """Return a data set of so many events, copies of those of another in turn."""
    source = np.arange(count) % dataset.sizes["event"]
    picks = [np.flatnonzero(dataset["event_index"] == i) for i in range(dataset.sizes["event"])]
    chosen = np.concatenate([picks[i] for i in source])
    number = np.repeat(np.arange(count), [len(picks[i]) for i in source])
    made = dataset.isel(event=source, pick=chosen)
    made["event_index"] = ("pick", number.astype(float), dataset["event_index"].attrs)
    names = xr.DataArray([f"{i}" for i in range(count)], dims="event")
    return made.assign_coords(event=names)


ENTRIES = {
    "calaveras_locations": calaveras_locations,
    "calaveras_joint": calaveras_joint,
    "simulated_joint": simulated_joint,
    "ablation": ablation,
    "two_profiles": two_profiles,
    "hayward": hayward,
    "parkfield": parkfield,
    "wrong_picks": wrong_picks,
    "many_events": many_events,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""
