"""Every door refuses nonsense by name: options of readers and models, designs, data sets.

The values arrive as the command line reads them; none of them is sensible for any option.
"""

import jax
import numpy as np
import pytest
import xarray as xr

from bayesquake.cli import parse_settings
from bayesquake.errors import BayesquakeError, OptionError
from bayesquake.inference.drivers import DRIVERS
from bayesquake.inference.plan import planned
from bayesquake.io.datasets import nearest_schema
from bayesquake.model.options import options_of
from bayesquake.model.registry import load_model, model_names
from bayesquake.model.simulation import simulate_accepted

TEXTS = (
    "nan",
    "1e999",
    "-1e999",
    "1e300",
    "-1e300",
    "1j",
    "''",
    "[]",
    "{}",
    "{'a': 1}",
    "b'x'",
    "[[]]",
    "...",
)
NONSENSE = [parse_settings([f"value={text}"])["value"] for text in TEXTS]
NONSENSE += [np.nan, np.array([np.nan]), object()]

FILLED_BY_THE_LIBRARY = {"priors"}
SENSIBLE = {
    "completeness_magnitude": "nan",
    "Mc": "nan",
    "centre_longitude": "nan",
    "centre_latitude": "nan",
    "marks": "''",
    "epoch": "''",
    "rupture_model": "''",
    "components": "'nan'",
    "polygon_origin": "'nan'",
}
"""What has a meaning after all: none, any, words of any kind, the letters of channels."""


@pytest.fixture(scope="module", params=model_names())
def problem(request, tmp_path_factory):
    model = load_model(request.param)
    _, dataset, _ = simulate_accepted(model, jax.random.key(3), model.trials[0].design)
    path = tmp_path_factory.mktemp("nonsense") / "data.nc"
    dataset.to_netcdf(path)
    return model, dataset, path


def is_refused(door, *arguments, **options):
    try:
        door(*arguments, **options)
    except BayesquakeError:
        return True
    return False


def accepted_nonsense(names, call):
    """Return the settings that a call takes; any error without a name ends the test."""
    return [
        f"{name} = {value!r}"
        for name in sorted(names)
        for value in NONSENSE
        if not is_refused(call, **{name: value}) and SENSIBLE.get(name) != repr(value)
    ]


def test_every_option_is_declared(problem):
    model, *_ = problem
    for function in (model.read, model.prepare, model.complete, model.draw):
        if function is not None:
            declared = getattr(function, "options", {})
            assert set(declared) == options_of(function), function.__name__
            open_ones = {name for name, option in declared.items() if option is None}
            assert open_ones <= FILLED_BY_THE_LIBRARY


def test_the_reader_refuses_nonsense(problem):
    model, _, path = problem
    assert not accepted_nonsense(
        options_of(model.read), lambda **options: model.read(path, **options)
    )


@pytest.mark.parametrize("door", ["prepare", "complete"])
def test_a_fit_refuses_nonsense(problem, door):
    model, dataset, _ = problem
    function = getattr(model, door)
    assert not accepted_nonsense(
        options_of(function) - FILLED_BY_THE_LIBRARY,
        lambda **options: function(dataset, **options),
    )


def test_a_simulation_refuses_nonsense(problem):
    model, *_ = problem
    key = jax.random.key(0)
    assert not accepted_nonsense(
        model.design, lambda **design: model.simulate(key, model.trials[0].design | design)
    )
    assert not accepted_nonsense(
        model.priors, lambda **values: model.simulate(key, model.trials[0].design, values)
    )
    assert not accepted_nonsense(model.priors, lambda **priors: model.simulate(key, priors=priors))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_refuses_nonsense(driver):
    model = load_model("b_value")
    _, dataset = model.simulate(jax.random.key(3))
    settings = {"chains": None, "warmup": None, "draws": None, "seed": 0, "priors": None}

    def plan(**options):
        return planned(model, dataset, **{**settings, "driver": driver, **options})

    names = set(plan().run.options) - {"progress", "checkpoint"}
    assert not accepted_nonsense(names, plan)


def is_allowed(value, variable):
    if np.isnan(value):
        return variable.missing
    return np.isfinite(value) and variable.low <= value <= variable.high


def poisoned_variables(dataset, schema):
    """Yield what is wrong and a data set in which that is so, for every variable."""
    for name, variable in schema.variables.items():
        if name not in dataset:
            continue
        values = dataset[name]
        middle = {dim: size // 2 for dim, size in values.sizes.items()}
        for poison in (np.nan, np.inf, -np.inf, 1e30):
            if not is_allowed(poison, variable):
                changed = values.astype(float).copy()
                changed[middle] = poison
                yield f"{name} = {poison}", dataset.assign({name: changed})
        yield f"{name} as text", dataset.assign({name: values.astype(str)})
        yield f"{name} complex", dataset.assign({name: values * 1j})
        yield f"{name} by shot", dataset.assign({name: values.expand_dims(shot=2)})
        yield f"{name} in furlongs", dataset.assign({name: values.assign_attrs(units="furlong")})
        if not variable.optional:
            yield f"no {name}", dataset.drop_vars(name)
    for dim in sorted(
        {dim for v in schema.variables.values() for dim in v.dims} & set(dataset.dims)
    ):
        yield f"no {dim}", dataset.isel({dim: slice(0)})


def poisoned_attributes(dataset, schema):
    """Yield what is wrong and a data set in which that is so, for every attribute."""
    for name in schema.attributes:
        for value in NONSENSE:
            if SENSIBLE.get(name) != repr(value):
                yield f"{name} = {value!r}", dataset.assign_attrs({name: value})
        if name not in schema.defaults:
            without = {key: value for key, value in dataset.attrs.items() if key != name}
            yield f"no {name}", dataset.drop_attrs().assign_attrs(without)


def test_preparation_refuses_poisoned_data(problem):
    model, dataset, _ = problem
    model.prepare(dataset)
    schema = nearest_schema(model.prepare.schemas, dataset)
    assert set(schema.variables) & set(dataset.variables)
    for poisoned in (poisoned_variables, poisoned_attributes):
        passed = [
            what for what, data in poisoned(dataset, schema) if not is_refused(model.prepare, data)
        ]
        assert not passed


def test_the_reader_repairs_poisoned_data_or_refuses_them_by_name(problem):
    model, dataset, _ = problem
    schema = nearest_schema(model.prepare.schemas, dataset)
    for poisoned in (poisoned_variables, poisoned_attributes):
        for what, data in poisoned(dataset, schema):
            if not is_refused(model.read, data):
                assert not is_refused(model.prepare, model.read(data)), what


@pytest.mark.parametrize("thing", [None, 3, "a path", [1, 2], {"t": [1.0]}])
def test_preparation_takes_data_sets_alone(problem, thing):
    model, *_ = problem
    assert is_refused(model.prepare, thing)


def changed(dataset, **values):
    """Return a data set in which one number of each of some variables is another one."""
    for name, (place, value) in values.items():
        array = dataset[name].astype(float).copy()
        array[place] = value
        dataset = dataset.assign({name: array})
    return dataset


CONTRADICTIONS = {
    "aftershock_rate": {
        "earlier than the one before": lambda d: changed(d, t=(5, 0.0)),
        "after the end of the window": lambda d: changed(d, t=(-1, 2 * d.attrs["T"])),
        "below the cut": lambda d: d.assign_attrs(Mc=float(d["mag"].max()) - 0.01),
        "fewer events than parameters": lambda d: d.isel(event=slice(3)),
    },
    "event_classification": {
        "earlier than the one before": lambda d: changed(d, time_days=(5, 0.0)),
        "a window that ends before it starts": lambda d: d.assign_attrs(T0=d.attrs["T1"] + 1),
        "a target before the window": lambda d: d.assign_attrs(T0=float(d["time_days"][1])),
        "a target outside the polygon": lambda d: changed(d, x_km=(0, 5000.0)),
        "below the completeness": lambda d: changed(d, magnitude=(2, d.attrs["m_c"] - 1)),
        "neither target nor history": lambda d: changed(d, target=(0, 0.5)),
        "a polygon that crosses itself": lambda d: d.assign(
            polygon=d["polygon"].isel(vertex=[0, 2, 1, 3])
        ),
        "a mark that is not there": lambda d: d.assign_attrs(marks="depth"),
        "a sphere without longitudes": lambda d: d.assign_attrs(distance="sphere"),
    },
    "fault_friction": {
        "epochs out of order": lambda d: d.isel(epoch=[1, 0, *range(2, d.sizes["epoch"])]),
        "an epoch twice": lambda d: d.isel(epoch=[0, *range(d.sizes["epoch"])]),
        "nothing observed": lambda d: d.assign(log_slip_rate=d["log_slip_rate"] * np.nan),
        "a stiffness that is not square": lambda d: d.assign(
            stiffness=(("cell", "source"), [[1.0, 2.0]])
        ),
        "a spring that pushes": lambda d: d.assign(stiffness=(("cell", "source"), [[-1.0]])),
    },
    "hypocenter_velocity": {
        "an event of three picks": lambda d: d.isel(pick=slice(3)),
        "a source above the layers": lambda d: changed(d, depth=(1, -0.5)),
        "layers out of order": lambda d: changed(d, top=(2, 1.0)),
        "a pick of no station": lambda d: changed(d, station_index=(4, 50)),
        "a phase between P and S": lambda d: changed(d, phase_index=(4, 0.5)),
        "two picks of one phase": lambda d: d.isel(pick=[0, *range(d.sizes["pick"])]),
        "S as fast as P": lambda d: d.assign(vs=d["vp"]),
        "a station far away": lambda d: changed(d, station_x=(2, 2000.0)),
    },
    "source_spectra": {
        "more degrees of freedom than there can be": lambda d: d.assign(nu1=d["nu1"] + 1),
        "places neither used nor not": lambda d: d.assign(mask=d["mask"] / 2),
        "no used place": lambda d: d.assign(mask=0 * d["mask"]),
        "two frequencies that are one": lambda d: d.assign_coords(freq=d["freq"] * 0 + 1.0),
        "a frequency of nothing": lambda d: d.assign_coords(freq=d["freq"] - d["freq"][0]),
        "correlated neighbours": lambda d: d.assign_attrs(half_bandwidth_hz=5.0),
        "a mean of logarithms": lambda d: d.assign_attrs(log_stacked=1),
        "a smaller event that comes first": lambda d: d.assign(
            moment1=("pair", [1e12, 1e12]), moment2=("pair", [1e11, 1e13])
        ),
        "too few frequencies": lambda d: d.isel(freq=slice(4)),
    },
}


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name, cases in CONTRADICTIONS.items() for what in cases]
)
def test_reader_and_preparation_refuse_data_that_contradict_themselves(name, what):
    model = load_model(name)
    _, dataset, _ = simulate_accepted(model, jax.random.key(3), model.trials[0].design)
    contradictory = CONTRADICTIONS[name][what](dataset)
    for door in (model.prepare, model.read):
        door(dataset)
        assert is_refused(door, contradictory)


def test_an_event_after_the_window_is_left_out_by_the_reader_and_refused_by_preparation():
    model = load_model("event_classification")
    _, dataset, _ = simulate_accepted(model, jax.random.key(3), model.trials[0].design)
    shorter = dataset.assign_attrs(T1=float(dataset["time_days"][-2]))
    assert model.read(shorter).attrs["events_after_end"] == 1
    assert is_refused(model.prepare, shorter)


MADE = {
    "design": ({"design": 5}, {"design": [1]}, {"design": "x"}),
    "parameters": ({"parameters": 5}, {"parameters": "x"}),
    "key": ({"key": 5}, {"key": None}),
}


@pytest.mark.parametrize("argument", MADE)
def test_arguments_of_a_simulation_that_are_none_are_refused_by_name(problem, argument):
    model, *_ = problem
    for arguments in MADE[argument]:
        with pytest.raises(OptionError, match=f"{argument} = "):
            model.simulate(**{"key": jax.random.key(0)} | arguments)


def test_numbers_of_events_and_scales_that_cannot_be_are_refused():
    key = jax.random.key(0)
    for name in ("aftershock_rate", "event_classification"):
        with pytest.raises(OptionError, match="maximum_events = 1 must not be below"):
            load_model(name).simulate(key, {"minimum_events": 5, "maximum_events": 1})
    for scale in ("beta", "eta", "ell"):
        with pytest.raises(OptionError, match=rf"{scale} = .*-1\.0?.* must be positive"):
            load_model("aftershock_rate").simulate(key, parameters={scale: -1.0})


CATALOGUE = xr.Dataset(
    {
        "time": ("event", np.arange(40.0) / 10),
        "magnitude": ("event", np.append(6.5, np.tile([2.1, 2.4, 3.0], 13))),
        "longitude": ("event", 10 + np.linspace(0, 1, 40)),
        "latitude": ("event", 40 + np.linspace(0, 1, 40) ** 2),
    }
)
READERS = {
    "aftershock_rate": {"main_shock_magnitude": 6.5, "completeness_magnitude": 2.1},
    "event_classification": {"magnitude_rounding": 0.1, "completeness_magnitude": 2.1},
}


def in_unit(name, unit):
    return CATALOGUE.assign({name: CATALOGUE[name].assign_attrs(units=unit)})


@pytest.mark.parametrize("name", READERS)
def test_catalogues_as_programs_write_them_are_read_alike(name):
    read, options = load_model(name).read, READERS[name]
    expected = read(CATALOGUE, **options).sizes["event"]
    moments = np.datetime64("2020-01-01") + (86400e6 * CATALOGUE["time"]).astype("timedelta64[us]")
    for same in (
        CATALOGUE.astype("float32"),
        CATALOGUE.astype(">f8"),
        CATALOGUE.assign(time=moments),
        in_unit("longitude", "degrees_E"),
        in_unit("latitude", "degree_north"),
        in_unit("time", "Days"),
    ):
        assert read(same, **options).sizes["event"] == expected


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "catalogue",
    [
        in_unit("magnitude", "km"),
        in_unit("longitude", "rad"),
        in_unit("time", "s"),
        CATALOGUE.assign_coords(row=("event", ["a"] * 40)),
        CATALOGUE.assign_coords(row=np.nan),
        CATALOGUE.rename(time="t").assign(time=CATALOGUE["time"], time_days=CATALOGUE["time"]),
    ],
)
def test_catalogues_that_make_no_sense_are_refused(name, catalogue):
    assert is_refused(load_model(name).read, catalogue, **READERS[name])


@pytest.mark.parametrize("name", READERS)
def test_a_path_that_no_file_can_have_is_refused(name):
    assert is_refused(load_model(name).read, "x" * 5000 + ".csv")
    assert is_refused(load_model(name).read, "x" * 5000 + ".nc")


def test_a_source_that_is_no_text_stops_no_door(problem):
    model, dataset, _ = problem
    for source in (np.array([1, 2]), 3):
        model.read(dataset.assign_attrs(source=source))
        model.prepare(dataset.assign_attrs(source=source))


def test_attributes_that_the_model_only_hands_on_are_checked():
    model = load_model("event_classification")
    dataset = model.read(CATALOGUE, **READERS[model.name])
    for name, value in {
        "centre_longitude": "east",
        "events_after_end": None,
        "epoch": np.array([1, 2]),
        "projection": "mercator",
    }.items():
        for door in (model.read, model.prepare):
            assert is_refused(door, dataset.assign_attrs({name: value}))


@pytest.mark.parametrize(
    ("unit", "fits"), [("dB", False), ("ln counts2/Hz", False), ("m2/Hz", True)]
)
def test_powers_may_have_any_unit_but_a_logarithmic_one(unit, fits):
    model = load_model("source_spectra")
    shape = (("pair", "trace", "freq"), np.ones((1, 1, 8)), {"units": unit})
    table = xr.Dataset(
        {"power1": shape, "power2": shape, "nu1": 10, "nu2": 10},
        coords={"freq": ("freq", np.arange(1.0, 9.0), {"units": "hertz"})},
    )
    assert is_refused(model.read, table) is not fits


@pytest.mark.parametrize("text", ["lon,lat\n10,40,5\n11,40,5\n11,41,5\n", "lon,lat,lat\n10,40,5\n"])
def test_polygons_with_surplus_cells_or_columns_are_refused(text, tmp_path):
    path = tmp_path / "polygon.csv"
    path.write_text(text)
    model = load_model("event_classification")
    for polygon in (path, [10**400] * 6):
        assert is_refused(model.read, CATALOGUE, polygon=polygon, **READERS[model.name])
