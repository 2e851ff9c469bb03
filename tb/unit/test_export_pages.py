"""The pages of `vmmr docs`: every register with its picture, reset values as the device has them."""

import importlib.util
import re
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import pytest
from virtio_mmr.config import load, loads
from virtio_mmr.config.device import Space
from virtio_mmr.export.bit_fields import Cell, label_lines, layout_picture
from virtio_mmr.export.pages import pages as all_pages
from virtio_mmr.export.parts import parts
from virtio_mmr.export.resets import device_reset, field_reset
from virtio_mmr.export.windows import TABLES, windows
from virtio_mmr.layout import place
from virtio_mmr.layout.space import reset_value
from virtio_mmr.spec.register import Access, Field, Register
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.model import windows as model
from virtio_mmr_sim.model.function import FunctionModel

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def device(request):
    config = load(request.param)
    return config, place(config)


@pytest.fixture
def pages():
    """`virtio_mmr.export.pages.pages`, if its pictures can be drawn."""
    if importlib.util.find_spec("wavedrom") is None:
        assert not toolchain.in_ci(), "CI needs every package"
        pytest.skip("MISSING: wavedrom (pip install 'virtio-mmr[docs]')")
    return all_pages


CHOICES = [
    "",
    "[control]\nbig_endian = true\ngate_open = true\n",
    '[queues]\nsizes = [16, 32]\n[features]\noffer = ["RING_EVENT_IDX", "NET_STATUS"]\n',
]


@pytest.mark.parametrize("choices", CHOICES)
def test_resets_are_what_the_golden_model_reads(choices):
    config = loads(f'[device]\nkind = "net"\n{choices}')
    shown = model.windows(FunctionModel(config))
    seen = 0
    for space, table in TABLES.items():
        for register in table if space in shown else ():
            if register.present.value != "always" or register.width > 32:
                continue
            lane = register.offset % 4
            strobe = ((1 << register.size) - 1) << lane
            found = shown[space].read(register.offset - lane, strobe) >> 8 * lane
            assert found == device_reset(config, register), register.name
            seen += 1
    assert seen > 20


def test_reset_of_a_register_is_that_of_its_fields(device):
    config, space = device
    for register in (*space.registers, *(register for table in TABLES.values() for register in table)):
        if register.view_of and register.fields:
            continue
        whole = sum(field_reset(config, part) << part.lsb for part in parts(register))
        assert whole == device_reset(config, register), register.name


def test_gaps_that_read_ones_are_constant_fields():
    register = Register(
        name="r", offset=0, width=16, access=Access.RW, reset=0x8004,
        fields=(Field(name="a", lsb=4, width=2, access=Access.RW, reset=3),
                Field(name="b", lsb=8, width=1, access=Access.RW)),
    )  # fmt: skip
    assert [(part.name, part.lsb, part.width, part.reset) for part in parts(register)] == [
        ("constant_0", 0, 4, 4), ("a", 4, 2, 3), ("b", 8, 1, 0), ("constant_9", 9, 7, 0x40),
    ]  # fmt: skip
    assert reset_value(register) == 0x8034


def test_every_register_has_a_line_and_every_field_a_picture(device, pages):
    config, space = device
    files = pages(config, space)
    shown = [("configuration-space", space.registers)]
    shown += [(window.name, window.table) for window in windows(config) if window.table]
    for page, registers in shown:
        for register in registers:
            assert re.search(rf"^\| 0x{register.offset:03x} \| `{register.name}` \|", files[f"{page}.md"], re.MULTILINE)
            if register.fields:
                words = "_".join(texts(files[f"pictures/{page}-{register.name}.svg"])).split("_")
                assert {word for part in parts(register) for word in part.name.split("_")} <= set(words)


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_pages_and_pictures_belong_together(device, pages):
    files = pages(*device)
    linked = {str(PurePosixPath(path).parent / target)
              for path, text in files.items() for target in re.findall(r"\]\(([^)]+)\)", text)}
    assert linked == files.keys() - {"index.md"}


def test_virtual_functions_have_pages_of_their_own(pages):
    config = loads('[device]\nkind = "net"\n[vf]\ncount = 8\nqueues = [16, 16]\n')
    files = pages(config, place(config))
    assert "[virtual functions](virtual-function/index.md)" in files["index.md"]
    assert "## sriov" in files["configuration-space.md"]
    assert "BAR 2, 0x1000 bytes from 0x0." in files["virtual-function/legacy.md"]
    assert "| 0x0010, by build |" in files["virtual-function/legacy.md"]
    virtual = config.of(1)
    assert {path.removeprefix("virtual-function/"): text for path, text in files.items() if path.startswith("virt")
            } == pages(virtual, place(virtual))


def test_page_of_a_window_says_where_it_stands(pages):
    config = load(EXAMPLES / "net.toml")
    files = pages(config, place(config))
    assert "BAR 0, 0x1000 bytes from 0x1000." in files["control.md"]
    # 0x1af4:0x10f9 is the network device, and NET_MAC, NET_STATUS and ANY_LAYOUT are bits 5, 16 and 27.
    assert "| 0x002 | `device_id` | 16 | ro | 0x10f9 |" in files["configuration-space.md"]
    assert "| 0x000 | `device_features` | 32 | ro | 0x08010020, by build |" in files["legacy.md"]


def test_pages_of_a_device_without_configuration_have_no_page_for_it(pages):
    config = load(EXAMPLES / "rng.toml")
    assert config.find(Space.DEVICE) is not None
    assert "device-configuration.md" not in pages(config, place(config))


def test_bits_stand_where_the_register_has_them(pages):
    """Of device control in PCI Express Base 5.0, 7.5.3.4, the picture has the bit numbers from left to right."""
    config = load(EXAMPLES / "net.toml")
    svg = ElementTree.fromstring(pages(config, place(config))["pictures/configuration-space-device_control.svg"])
    placed = sorted((float(text.get("x", "0").split()[0]), "".join(text.itertext())) for text in svg.iter(f"{SVG}text"))
    numbers = [int(text) for _, text in placed if text.isdigit()]
    assert numbers == [15, 14, 12, 11, 10, 9, 8, 7, 5, 4, 3, 2, 1, 0]
    names = [text for _, text in placed if text in ("max_read_request_size", "max_payload_size", "initiate")]
    assert names == ["initiate", "max_read_request_size", "max_payload_size"]


def test_labels_fit_their_cells(device):
    """A cell of one bit has 75 pixels, which hold twelve letters of ordinary width."""
    _, space = device
    for register in (*space.registers, *(register for table in TABLES.values() for register in table)):
        for part in register.fields:
            assert all(len(line) <= 12 * part.width for line in label_lines(part.name, 75 * part.width)), part.name


def test_label_is_broken_at_underscores_where_its_cell_ends():
    assert label_lines("max_read_request_size", 225) == ["max_read_request_size"]
    assert label_lines("max_read_request_size", 75) == ["max_read", "request", "size"]
    assert label_lines("unsupported", 10) == ["unsupported"]


def test_rows_of_a_layout_begin_at_its_first_byte(pages):
    svg = layout_picture([Cell("low", 0, 64), Cell("high", 72, 24)], 0x48, 12)
    assert [text for text in texts(svg) if text.startswith("0x")] == ["0x048", "0x04c", "0x050"]
    assert texts(svg).count("low") == 2 and texts(svg).count("high") == 1


def test_same_device_gives_the_same_pages(pages):
    config = load(EXAMPLES / "blk.toml")
    assert pages(config, place(config)) == pages(config, place(config))
