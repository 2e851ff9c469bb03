"""Options of the benches, and the fixtures that run them.

A test module that names a bench (``BENCH = "bench_legacy"``) gets a test for each of its cases on each
device: those of `system.devices` that it names in ``DEVICES``, with ``--broad`` those of ``BROAD`` too and with
``--full`` also those of ``FULL``, or the one of ``--device``.
"""

import gc
import os
from pathlib import Path

import pytest
from selection import broad, full

TB = Path(__file__).parent
REGRESSION = pytest.StashKey()


# Elaboration makes millions of small objects that live on; looking through them again and again takes a seventh of the
# time of simulations in Python.
gc.set_threshold(200_000, 20, 20)


def pytest_addoption(parser):
    group = parser.getgroup("virtio-mmr")
    group.addoption("--seed", type=int, default=1, help="seed of every random choice (default: 1)")
    group.addoption("--waves", action="store_true", help="record waves and say where they are")
    group.addoption("--jobs", type=int, default=os.cpu_count() or 1, help="simulator runs at a time")
    group.addoption("--device", type=Path, help="run the benches on this device file instead of the built-in ones")
    group.addoption("--broad", action="store_true", help="also run what is marked broad: what CI runs")
    group.addoption("--full", action="store_true", help="also run what is marked broad or full: large volumes")


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    from virtio_mmr_sim import bench

    folder = Path(metafunc.module.__file__).parent
    metafunc.parametrize("case", bench.cases(folder / f"{metafunc.module.BENCH}.py"))
    metafunc.parametrize("device", devices(metafunc), ids=lambda device: device.name)


def devices(metafunc):
    """Devices that the test module wants, or the user's one."""
    from virtio_mmr_sim import bench

    chosen = metafunc.config.getoption("device")
    if chosen is not None:
        return [bench.Device(chosen.stem, chosen.read_text())]
    from system.devices import DEVICES

    always, with_broad, with_full = (
        [DEVICES[name] for name in getattr(metafunc.module, names, ())] for names in ("DEVICES", "BROAD", "FULL"))
    return [*always, *broad(*with_broad), *full(*with_full)]


def pytest_collection_modifyitems(config, items):
    if config.getoption("full"):
        return
    unwanted = ["full"] if config.getoption("broad") else ["broad", "full"]
    taken, left_out = [], []
    for item in items:
        (left_out if any(item.get_closest_marker(mark) for mark in unwanted) else taken).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = taken


def repeat_command(config):
    """Command line that runs one case again, to be filled in."""
    if command := os.environ.get("VIRTIO_MMR_COMMAND"):
        return f"{command} -k {{case}} --seed {{seed}} --waves"
    chosen = config.getoption("device")
    device = f" --device {chosen}" if chosen else ""
    return f"python -m pytest tb -k {{case}} --seed {{seed}} --waves{device}"


@pytest.fixture(scope="session")
def regression(request):
    """Runs of the session; one run serves all selected cases of a bench on a device."""
    from virtio_mmr_sim import bench, toolchain

    toolchain.skip_or_fail("verilator", "g++", "make")
    pytest.importorskip("cocotb", reason="benches need cocotb: pip install 'virtio-mmr[sim]'")
    option = request.config.getoption
    if option("full"):
        os.environ[bench.FULL] = "1"
    session = bench.Regression(
        Path("build/bench"),
        seed=option("seed"),
        waves=option("waves"),
        jobs=option("jobs"),
        repeat=repeat_command(request.config),
    )
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if {"case", "device"} <= parameters.keys():
            session.want(module_of(item.module), parameters["device"], parameters["case"])
    session.start()
    yield session
    session.close()


def module_of(module):
    """Name under which the simulator imports the module's bench."""
    return f"{Path(module.__file__).parent.name}.{module.BENCH}"


@pytest.fixture
def check(request, regression, case, device):
    """Call it to run the test's case on its device; it skips if the device has not what the case needs."""
    from virtio_mmr_sim import bench

    def run():
        failure = ""
        try:
            outcome = regression.check(module_of(request.module), device, case)
        except bench.BenchFailure as failed:
            failure = str(failed)
        if failure:
            pytest.fail(failure, pytrace=False)
        if outcome.status == "skipped":
            pytest.skip(outcome.message or "the device has not what this case needs")

    return run
