"""Generated C headers agree with the kernel's, and the comparison notices when they do not."""

import re
from pathlib import Path

import pytest
from virtio_mmr import config, layout
from virtio_mmr.export.c_header import c_header
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle import header

EXAMPLES = Path(__file__).parents[2] / "examples"
KINDS = ("net", "block", "console", "rng")


@pytest.fixture(autouse=True)
def compiler():
    toolchain.skip_or_fail("gcc")


def generated(kind):
    device = config.loads(f'schema = 1\n[device]\nkind = "{kind}"\n')
    return c_header(device, layout.place(device))


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_agrees_with_linux(kind):
    assert header.check(generated(kind)) > 10


@pytest.mark.parametrize(("kind", "name"), [
    ("net", "VMMR_LEGACY_QUEUE_NOTIFY_OFFSET"),
    ("net", "VMMR_LEGACY_QUEUE_VECTOR_OFFSET"),
    ("net", "VMMR_FEATURE_NET_MAC"),
    ("net", "VMMR_CONFIG_STATUS_OFFSET"),
    ("block", "VMMR_CONFIG_WRITEBACK_OFFSET"),
    ("block", "VMMR_CONFIG_CAPACITY_SIZE"),
])
def test_a_wrong_number_is_noticed(kind, name):
    text = generated(kind)
    wrong = re.sub(rf"(#define {name} +)(\S+)", lambda match: f"{match[1]}{int(match[2], 0) ^ 1}", text)
    assert wrong != text
    with pytest.raises(header.HeaderMismatch, match=f"{name} is not"):
        header.check(wrong)


def transitional():
    device = config.load(EXAMPLES / "net-transitional.toml")
    return c_header(device, layout.place(device))


def test_the_common_configuration_agrees_with_linux():
    lines = "\n".join(header.assertions(transitional()))
    for name in ("DFSELECT", "MSIX", "STATUS", "CFGGENERATION", "Q_SELECT", "Q_NOFF", "Q_DESCLO", "Q_USEDLO"):
        assert f"VIRTIO_PCI_COMMON_{name})" in lines
    assert header.check(transitional()) > 30


def test_a_wrong_number_in_the_common_configuration_is_noticed():
    wrong = re.sub(r"(#define VMMR_COMMON_QUEUE_ENABLE_OFFSET +)\S+", r"\g<1>0x1a", transitional())
    with pytest.raises(header.HeaderMismatch, match="VMMR_COMMON_QUEUE_ENABLE_OFFSET is not"):
        header.check(wrong)


def test_a_missing_register_is_noticed():
    text = re.sub(r"#define VMMR_LEGACY_ISR_STATUS_OFFSET.*\n", "", generated("net"))
    with pytest.raises(header.HeaderMismatch, match="VMMR_LEGACY_ISR_STATUS_OFFSET"):
        header.check(text)


def test_every_legacy_register_is_compared():
    lines = "\n".join(header.assertions(generated("net")))
    for name in ("HOST_FEATURES", "GUEST_FEATURES", "QUEUE_PFN", "QUEUE_NUM", "QUEUE_SEL", "QUEUE_NOTIFY", "STATUS",
                 "ISR"):
        assert f"VIRTIO_PCI_{name})" in lines
    assert "VIRTIO_MSI_CONFIG_VECTOR" in lines and "VIRTIO_MSI_QUEUE_VECTOR" in lines
