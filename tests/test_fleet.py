"""Problems shared among processes of a real Dask cluster, one of which is killed."""

import os
import signal

import pytest
import xarray as xr

import bayesquake as bq
from bayesquake.batch.fleet import importable_name, imported
from bayesquake.errors import OptionError
from bayesquake.experiments.benchmarks.hypocentre_model import HYPOCENTRE, simulated_picks
from bayesquake.model.registry import load_model

distributed = pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")

RUN = {
    "draws": 50,
    "pilot": 30,
    "adaptation": 30,
    "seed": 1,
    "width": 4,
    "chunk": 4,
    "rhat_limit": 3.0,
    "ess_limit": 1.0,
}


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


def picks(events):
    observed = simulated_picks(events)[["station", "arrival", "picked"]]
    return [observed.isel(event=i) for i in range(events)]


def test_no_result_is_lost_when_a_worker_is_killed(client):
    datasets = picks(40)
    alone = bq.fit_many(HYPOCENTRE, datasets, **RUN)

    processes = client.run(os.getpid)
    killed = []

    def kill_a_busy_worker(done, problems):
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        if not killed and busy:
            killed.append(processes[busy[0]])
            os.kill(killed[0], signal.SIGKILL)

    shared = bq.fit_many(HYPOCENTRE, datasets, client=client, progress=kill_a_busy_worker, **RUN)
    assert killed
    for group in ("posterior", "sample_stats", "triage"):
        xr.testing.assert_identical(alone[group].to_dataset(), shared[group].to_dataset())


def test_workers_of_several_threads_are_refused():
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(OptionError, match="threads_per_worker=1"),
    ):
        bq.fit_many(HYPOCENTRE, picks(2), client=client, **RUN)


def test_a_model_is_found_again_by_its_name():
    for model in (HYPOCENTRE, load_model("aftershock_rate")):
        assert imported(importable_name(model)) is model
