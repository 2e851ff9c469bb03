"""What guests need."""

import pytest


@pytest.fixture
def guest_parts():
    """Call it with the names of bundles: without them, or without a QEMU for guests, the test skips; in CI it fails."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.guest import packages, qemu

    def need(*names):
        toolchain.skip_or_fail("qemu", "verilator", "g++", "make")
        missing = qemu.unfit(toolchain.find("qemu"))
        try:
            for name in names:
                packages.bundle(name)
        except packages.PackagesMissing as error:
            missing = str(error)
        if missing and toolchain.in_ci():
            pytest.fail(f"CI needs every guest: {missing}", pytrace=False)
        if missing:
            pytest.skip(f"MISSING GUEST: {missing}")

    return need
