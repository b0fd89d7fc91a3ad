"""The report holds the result's numbers, opens nothing from outside, and is written whole."""

import dataclasses
import html.parser
import math
import sys

import jax
import matplotlib
import numpy as np
import pytest
import xarray as xr

from bayesquake.errors import ResultError
from bayesquake.inference.fit import fit
from bayesquake.model.registry import load_model
from bayesquake.models.aftershock_rate.figures import FIGURES
from bayesquake.reporting import html as report_html
from bayesquake.reporting.figures import distinct, overlap
from bayesquake.reporting.html import report
from bayesquake.results.checks import as_group
from bayesquake.results.evidence import weight_check

TRUTH = {
    "log_K": -4.4,
    "p": 1.05,
    "log_c": -4.5,
    "beta": 1.9,
    "log_sigma": -1.4,
    "mu_1d": 2.2,
    "mu_slope": -0.7,
    "eta": 0.2,
    "ell": 0.7,
}
TOKENS_OF_NOTHING = {"nan", "inf", "-inf", "None", "NaN"}


class Page(html.parser.HTMLParser):
    """The tags, the visible words and the table rows of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.rows, self.open = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.open.append(tag)
        if tag == "tr":
            self.row = self.rows.setdefault(attributes.get("id", ""), [])
        if tag in ("td", "th"):
            self.row.append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words += data.split()
        if "td" in self.open or ("th" in self.open and "small" not in self.open):
            self.row[-1] += data


@pytest.fixture(scope="module")
def model():
    return load_model("aftershock_rate")


@pytest.fixture(scope="module")
def result(model):
    _, dataset = model.simulate(jax.random.key(0), {"maximum_events": 300}, TRUTH)
    return fit(model, dataset, chains=2, warmup=50, draws=50, seed=1, basis_size=16, knots=33)


@pytest.fixture(scope="module")
def text(model, result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            report_html, "load_model", lambda name: dataclasses.replace(model, figures=FIGURES)
        )
        report(result, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture
def without_figures(model, monkeypatch):
    bare = dataclasses.replace(model, figures={})
    monkeypatch.setattr(report_html, "load_model", lambda name: bare)
    monkeypatch.setattr(report_html, "_png", lambda figure: "")


def scalars(result):
    posterior = result["posterior"]
    return [name for name in posterior.data_vars if posterior[name].dims == ("chain", "draw")]


def changed(result, change):
    """Return a copy of a result with every group changed."""
    groups = {name: change(name, node.to_dataset()) for name, node in result.children.items()}
    copy = xr.DataTree.from_dict(groups)
    copy.attrs = dict(result.attrs)
    return copy


def test_every_scalar_quantity_is_shown_with_its_unit_and_meaning(page, text, model, result):
    assert scalars(result)
    for name in scalars(result):
        quantity = model.quantities[name]
        row = page.rows[f"quantity-{name}"]
        assert row[:2] == [name, quantity.unit]
        assert quantity.meaning in text


def test_numbers_of_the_table_are_those_of_the_posterior(page, result):
    for name in scalars(result):
        draws = result["posterior"][name].to_numpy()
        expected = [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.05, 0.5, 0.95])]
        shown = [float(number) for number in page.rows[f"quantity-{name}"][2:7]]
        np.testing.assert_allclose(shown, expected, rtol=6e-4)


def test_nothing_outside_the_file_is_opened(page, text):
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        assert attributes.get("src", "data:").startswith("data:")
        if "href" in attributes:
            assert tag == "a"
            assert attributes["href"].startswith(("#", "https://doi.org/10."))
    assert "url(" not in text
    assert "@import" not in text


def test_links_within_the_page_lead_somewhere(page):
    targets = {attributes.get("id") for _, attributes in page.tags}
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert {link[1:] for link in links if link.startswith("#")} <= targets


def test_no_undefined_number_is_shown(page):
    assert not TOKENS_OF_NOTHING & set(page.words)


def test_every_figure_of_the_model_is_shown_with_its_caption(page, text):
    shown = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert set(FIGURES) <= set(shown)
    for draw in FIGURES.values():
        assert draw.__doc__.split("\n\n")[1].split()[0] in text


def test_provenance_and_configuration_are_shown(page, text, result):
    for name in ("model_hash", "git_commit", "data_hash", "seed", "device", "created_at"):
        assert str(result.attrs[name]) in text
    assert "&#34;basis_size&#34;: 16" in text


def test_window_and_source_of_the_data_are_shown(page, result):
    cells = [cell for row in page.rows.values() for cell in row]
    assert cells[cells.index("main-shock magnitude, M0") + 1] == "7 mag"
    assert cells[cells.index("completeness cut, Mc") + 1] == "none"
    assert cells[cells.index("source") + 1] == "simulated"


def test_forecast_table_shows_the_predictive_mean(page, result):
    counts = result["posterior_predictive"]["forecast_count"]
    mean = counts.mean(("chain", "draw")).to_numpy().ravel()
    words = set(page.words)
    assert all(f"{value:.4g}" in words for value in mean)


def test_observed_forecast_counts_are_shown(result, tmp_path, without_figures):
    def observe(name, group):
        if name != "posterior_predictive":
            return group
        shape = group["forecast_count"].shape[2:]
        counts = 123456 + np.arange(math.prod(shape)).reshape(shape)
        return group.assign(forecast_observed=(("window", "mag_threshold"), counts))

    report(changed(result, observe), tmp_path / "report.html")
    assert "123457" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).words


def test_an_approximate_result_says_so(result, tmp_path, without_figures):
    def approximate(name, group):
        if name != "sample_stats":
            return group
        return group[["lp"]].assign(log_weight=group["lp"] - group["energy"])

    copy = changed(result, approximate)
    copy["checks"] = as_group([weight_check(0.91)])
    copy.attrs["approximate"] = 1
    report(copy, tmp_path / "report.html")
    words = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "approximate" in words
    assert "0.91" in words


def test_one_chain_gives_a_report_without_undefined_numbers(result, tmp_path, without_figures):
    def first_chain(name, group):
        return group.isel(chain=[0]) if "chain" in group.dims else group

    report(changed(result, first_chain), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not TOKENS_OF_NOTHING & set(page.words)


@pytest.mark.parametrize("title", FIGURES)
def test_axes_of_the_models_figures_name_their_quantity(result, title):
    figure = FIGURES[title](result)
    assert any(axis.get_xlabel() for axis in figure.axes)


def test_the_users_matplotlib_is_left_alone(result):
    before = dict(matplotlib.rcParams)
    for draw in FIGURES.values():
        draw(result)
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_nothing_is_left_behind_when_the_report_cannot_be_drawn(
    result, tmp_path, model, monkeypatch
):
    def broken(result):
        raise ValueError("no such figure")

    with_broken = dataclasses.replace(model, figures={"Broken": broken})
    monkeypatch.setattr(report_html, "load_model", lambda name: with_broken)
    monkeypatch.setattr(report_html, "_png", lambda figure: "")
    with pytest.raises(ValueError, match="no such figure"):
        report(result, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_an_earlier_report_survives_a_failure(result, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("earlier", encoding="utf-8")
    monkeypatch.setattr(report_html, "_render", lambda result: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report(result, path)
    assert path.read_text(encoding="utf-8") == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error_that_says_so(result, tmp_path, without_figures):
    with pytest.raises(ResultError, match="does not exist"):
        report(result, tmp_path / "absent" / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_result_without_posterior_is_an_error(result, tmp_path):
    damaged = result.copy()
    del damaged["posterior"]
    with pytest.raises(ResultError, match="posterior"):
        report(damaged, tmp_path / "report.html")


def test_overlap_is_one_for_equal_and_zero_for_disjoint_distributions():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 20_000))
    assert overlap(first, second) == pytest.approx(1.0, abs=0.03)
    assert overlap(first, 0.01 * second + 20.0) == pytest.approx(0.0, abs=1e-6)


def test_overlap_of_shifted_normals_is_that_of_the_textbook():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 20_000))
    assert overlap(first, second + 2.0) == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=0.02)


def test_increasing_functions_of_a_quantity_are_shown_once(result):
    kept = distinct(result["posterior"], ["K", "log_K", "p", "beta", "b_value"])
    assert kept == ["K", "p", "beta"]
