"""Other people's programs take what is generated for them: PeakRDL the registers, FuseSoC the core."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from virtio_mmr.config import load, loads
from virtio_mmr.export.fusesoc import core_file, core_name
from virtio_mmr.export.lint import lint_configuration
from virtio_mmr.export.system_rdl import system_rdl
from virtio_mmr.layout import place
from virtio_mmr.spec import legacy
from virtio_mmr.spec.device_types import Owner
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.toolchain import skip_or_fail

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))

MODULE = "module virtio_mmr(input clk);\nendmodule\n"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def device(request):
    config = load(request.param)
    return config, place(config)


def elaborated(text: str, folder: Path, **parameters: bool):
    """The root of *text* as PeakRDL's compiler understands it."""
    skip_or_fail("peakrdl")
    from systemrdl import RDLCompiler

    path = folder / "virtio_mmr.rdl"
    path.write_text(text)
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate(parameters=parameters).top


def registers(root, path: str):
    """Every register below *path*, arrays taken apart."""
    from systemrdl.node import RegNode

    return [node for node in root.find_by_path(path).descendants(unroll=True) if isinstance(node, RegNode)]


def test_peakrdl_makes_html_of_every_example(device, tmp_path):
    (tool,) = skip_or_fail("peakrdl")
    (tmp_path / "virtio_mmr.rdl").write_text(system_rdl(*device))
    done = subprocess.run([*tool.command, "html", "virtio_mmr.rdl", "-o", "html"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "index.html").exists()
    # A BAR and configuration space have addresses of their own, which the pages only cannot draw.
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "bridge" in warnings[0]


def test_configuration_space_in_systemrdl_reads_and_takes_writes_as_it_does(device, tmp_path):
    config, space = device
    image, writable, cleared = bytearray(4096), bytearray(4096), bytearray(4096)
    for node in registers(elaborated(system_rdl(config, space), tmp_path), "configuration_space"):
        values = [0, 0, 0]
        for field in node.fields():
            mask = ((1 << field.width) - 1) << field.low
            values[0] |= field.get_property("reset") << field.low
            if field.is_sw_writable and field.is_sw_readable:
                values[2 if field.get_property("onwrite") else 1] |= mask
        place_in_space = slice(node.absolute_address, node.absolute_address + node.size)
        for whole, value in zip((image, writable, cleared), values, strict=True):
            whole[place_in_space] = value.to_bytes(node.size, "little")
    assert bytes(image) == space.reset_image()
    assert bytes(writable) == space.write_mask()
    assert bytes(cleared) == space.write_clear_mask()


def test_windows_in_systemrdl_stand_where_the_device_has_them(device, tmp_path):
    config, space = device
    root = elaborated(system_rdl(config, space), tmp_path)
    for bar in config.bars:
        shown = root.find_by_path(f"bar{bar.index}").children()
        found = {node.get_property("name"): node.absolute_address for node in shown}
        placed = {region.space.value: region.offset for region in bar.regions}
        assert found.items() <= placed.items()
        assert {"legacy", "control", "isr", "msix"} & placed.keys() <= found.keys()


def test_virtual_functions_in_systemrdl_have_spaces_of_their_own(tmp_path):
    config = loads('[device]\nkind = "net"\n[vf]\ncount = 8\nqueues = [16, 16]\n')
    root = elaborated(system_rdl(config, place(config)), tmp_path)
    assert [node.inst_name for node in root.children()] == [
        "bar0", "configuration_space", "vf_bar2", "vf_configuration_space"]
    for path, size in (("bar0", 128), ("vf_bar2", 16)):
        (part,) = root.find_by_path(f"{path}.legacy.queue_size").fields()
        assert part.get_property("reset") == size
    (part,) = root.find_by_path("vf_configuration_space.vendor_id").fields()
    assert part.get_property("reset") == 0xFFFF


@pytest.mark.parametrize("enabled", [False, True])
def test_device_configuration_in_systemrdl_moves_with_msix(tmp_path, enabled):
    config = load(EXAMPLES / "net.toml")
    root = elaborated(system_rdl(config, place(config)), tmp_path, MSIX_ENABLED=enabled)
    present = {node.inst_name for node in root.find_by_path("bar0.legacy").children()}
    assert ({"config_vector", "queue_vector"} <= present) == enabled
    start = legacy.CONFIG_OFFSET[enabled]
    for window, base in (("legacy", start), ("device", 0x3000)):
        for field in config.kind.config:
            for index in range(field.count):
                name = f"config_{field.name}" + (f"_{index}" if field.count > 1 else "")
                node = root.find_by_path(f"bar0.{window}.{name}")
                at = field.offset + index * field.width // 8
                assert (node.absolute_address, node.size) == (base + at, field.width // 8)
                (part,) = node.fields()
                assert part.get_property("reset") == int.from_bytes(config.config_image[at : at + node.size], "little")
                assert part.is_sw_writable == (field.owner is Owner.DRIVER)


def test_msix_table_in_systemrdl_has_an_entry_for_each_vector(tmp_path):
    config = load(EXAMPLES / "net.toml")
    found = [(node.get_path_segment(), node.absolute_address)
             for node in registers(elaborated(system_rdl(config, place(config)), tmp_path), "bar0.msix")]
    names = ("address_low", "address_high", "data", "vector_control")
    assert found == [
        *((name, 0x4000 + 16 * entry + 4 * number) for entry in range(3) for number, name in enumerate(names)),
        ("pending[0]", 0x4800),
    ]


@pytest.fixture
def fusesoc(tmp_path):
    """Runs FuseSoC in a folder and with a home of its own."""
    (tool,) = skip_or_fail("fusesoc")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*tool.command, "--cores-root", "cores", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}, check=False)
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr
        return done.stdout

    return run


def generated(folder: Path, config) -> None:
    """What the core file names, with a module that has nothing in it."""
    folder.mkdir()
    (folder / "virtio_mmr.core").write_text(core_file(config))
    (folder / "virtio_mmr.v").write_text(MODULE)
    (folder / "virtio_mmr_template.v").write_text("wire a;\n")
    (folder / "virtio_mmr.vlt").write_text(lint_configuration())


def test_fusesoc_lists_the_core(fusesoc, tmp_path):
    config = load(EXAMPLES / "net.toml")
    generated(tmp_path / "cores", config)
    assert re.search(r"^virtio-mmr:device:net:0\.1\.0 .* 1af4:10f9", fusesoc("core", "list"), re.MULTILINE)


def test_fusesoc_sets_up_a_lint_that_verilator_passes(fusesoc, tmp_path):
    skip_or_fail("verilator")
    config = load(EXAMPLES / "console.toml")
    generated(tmp_path / "cores", config)
    fusesoc("run", "--setup", "--target", "lint", core_name(config))
    (arguments,) = tmp_path.glob("build/*/lint/*.vc")
    assert "virtio_mmr.vlt" in arguments.read_text()
    command = [*toolchain.verilator(), "-Wall", "-Wno-UNUSEDSIGNAL", "-f", arguments.name]
    subprocess.run(command, cwd=arguments.parent, env=toolchain.environment(), check=True)


def test_fusesoc_hands_module_and_template_to_a_design_that_depends_on_them(fusesoc, tmp_path):
    config = load(EXAMPLES / "net.toml")
    generated(tmp_path / "cores", config)
    (tmp_path / "cores" / "card.core").write_text(
        f'CAPI=2:\nname: "::card:1.0"\nfilesets:\n  rtl:\n    depend: ["{core_name(config)}"]\n'
        "    file_type: verilogSource\n    files: [card.v]\n"
        "targets:\n  default:\n    filesets: [rtl]\n    toplevel: card\n    flow: lint\n"
        "    flow_options: {tool: verilator}\n"
    )
    (tmp_path / "cores" / "card.v").write_text('module card(input clk);\n`include "virtio_mmr_template.v"\nendmodule\n')
    fusesoc("run", "--setup", "::card:1.0")
    (arguments,) = tmp_path.glob("build/*/default/*.vc")
    lines = arguments.read_text().splitlines()
    assert any(line.startswith("+incdir+") for line in lines)
    assert [Path(line).name for line in lines if line.endswith(".v")] == ["virtio_mmr.v", "card.v"]
