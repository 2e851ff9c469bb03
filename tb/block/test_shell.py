"""The generated Verilog has the ports that were promised, the same bytes every time, and no lint."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from block.simulation import raw_beats, raw_packets, simulate
from block.test_backend import FIELDS, OUT
from model_devices import entropy, net, transitional
from selection import broad
from virtio_mmr.config.device import Datapath
from virtio_mmr.gateware.backend import ResetCause
from virtio_mmr.gateware.shell import VerilogShell, generate
from virtio_mmr.layout import place
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.model.tlp import ConfigRequest, build

#: How yosys writes Verilog: operands of unequal width, cases behind a default, a memory of one row with an address
#: of no bits.
HABITS = {"CASEINCOMPLETE", "WIDTHEXPAND", "WIDTHTRUNC", "ASCRANGE"}

GENERATE = """
import sys
from dataclasses import replace
from model_devices import entropy
from virtio_mmr.config.device import Datapath
from virtio_mmr.gateware.shell import generate
sys.stdout.write(generate(replace(entropy(), datapath=Datapath(width=64))).verilog)
"""


def ports_of(width):
    """(direction, width) by port name: clock, AXI streams, counters, pulses, back end."""
    count = {64: 4, 128: 5, 256: 6, 512: 7}[width]
    ports = {"clk": ("input", 1), "rst": ("input", 1), "rx_np_ok": ("output", 1), "intx": ("output", 1)}
    for prefix, forward, back in (("s_axis_rx", "input", "output"), ("m_axis_tx", "output", "input")):
        ports |= {f"{prefix}_tdata": (forward, width), f"{prefix}_tkeep": (forward, width // 8),
                  f"{prefix}_tlast": (forward, 1), f"{prefix}_tvalid": (forward, 1), f"{prefix}_tready": (back, 1)}
    ports |= {f"count_{name}": ("output", 16) for name in (
        "malformed", "poisoned", "unsupported", "unexpected", "hole")}
    ports |= {f"error_{name}": ("output", 1) for name in ("correctable", "nonfatal", "fatal")}
    streams = {**FIELDS,
               "dma_read_data": {"owner": 3, "context": 16, "data": width, "bytes": count, "last": 1, "status": 3},
               "dma_write_data": {"data": width, "bytes": count, "last": 1}}
    for name, fields in streams.items():
        forward, back = ("output", "input") if name in OUT else ("input", "output")
        ports |= {f"be_{name}_{field}": (forward, bits) for field, bits in fields.items()}
        ports |= {f"be_{name}_valid": (forward, 1), f"be_{name}_ready": (back, 1)}
    return ports


def declared(verilog):
    """Ports of the top module as its text declares them."""
    text = verilog[verilog.index("module virtio_mmr("):]
    text = text[:text.index("endmodule")]
    return {
        name: (direction, int(high) + 1 if high else 1)
        for direction, high, name in re.findall(
            r"^\s*(input|output)\s+(?:wire |reg )?(?:\[(\d+):0\]\s+)?(\w+)\s*;", text, re.MULTILINE)
    }


@pytest.fixture(scope="module", params=[128, *broad(64, 512)])
def generated(request):
    config = {64: entropy, 128: transitional, 512: net}[request.param]()
    return request.param, generate(replace(config, datapath=Datapath(width=request.param)))


def test_ports_have_the_names_and_widths_that_were_promised(generated):
    width, made = generated
    assert declared(made.verilog) == ports_of(width)


def test_description_names_every_port_and_every_stream(generated):
    width, made = generated
    interface = made.interface
    assert (interface["module"], interface["width"]) == ("virtio_mmr", width)
    assert {port["name"]: (port["direction"], port["width"]) for port in interface["ports"]} == ports_of(width)
    assert all(port["doc"] for port in interface["ports"])
    streams = {stream["name"]: stream for stream in interface["streams"]}
    assert set(streams) == {*FIELDS, "dma_read_data", "dma_write_data"}
    for name, stream in streams.items():
        assert stream["direction"] == ("out" if name in OUT else "in")
        assert stream["doc"].endswith(".")
        assert name not in FIELDS or stream["fields"] == [
            {"name": field, "width": bits} for field, bits in FIELDS[name].items()]


def test_no_path_of_this_machine_is_inside(generated):
    _, made = generated
    for secret in (str(Path(__file__).parents[2]), str(Path.home()), sys.prefix, ".py:", "src ="):
        assert len(secret) < 3 or secret not in made.verilog, secret


@pytest.fixture(scope="module")
def warnings(generated, tmp_path_factory):
    """Kinds of what Verilator has to say about the generated text, each with its first example."""
    toolchain.skip_or_fail("verilator")
    _, made = generated
    source = tmp_path_factory.mktemp("lint") / "virtio_mmr.v"
    source.write_text(made.verilog)
    done = subprocess.run(
        [*toolchain.require("verilator").command, "--lint-only", "-Wno-fatal", "--top-module", "virtio_mmr",
         str(source)], env=toolchain.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for kind, text in re.findall(r"^%Warning-(\w+): (.*)", done.stderr, re.MULTILINE):
        found.setdefault(kind, text)
    return found


def test_verilator_finds_no_fault(warnings):
    assert {kind: text for kind, text in warnings.items() if kind not in {*HABITS, "ALWNEVER"}} == {}


def test_no_process_waits_for_something_that_never_changes(warnings):
    """Where every bit may also be unknown, such a process would leave its bits unknown for ever."""
    assert warnings.get("ALWNEVER") is None


@pytest.mark.parametrize("width", [64, 128])
def test_flat_ports_lead_to_the_endpoint(width):
    config = replace(entropy(), datapath=Datapath(width=width))
    dut = VerilogShell(config)
    image = place(config).reset_image()
    found = []

    async def play(ctx):
        ctx.set(dut.m_axis_tx_tready, 1)
        for offset in (0x00, 0x2C):
            for beat in raw_beats(build(ConfigRequest(bus=1, offset=offset)), width // 32):
                ctx.set(dut.s_axis_rx_tdata, beat["data"])
                ctx.set(dut.s_axis_rx_tkeep, sum(0xF << 4 * i for i in range(width // 32) if beat["keep"] >> i & 1))
                ctx.set(dut.s_axis_rx_tlast, beat["last"])
                ctx.set(dut.s_axis_rx_tvalid, 1)
                while not (await ctx.tick().sample(dut.s_axis_rx_tready))[2]:
                    pass
            ctx.set(dut.s_axis_rx_tvalid, 0)
        # A fault of a function that does not exist is taken all the same; one of ours asks for a reset.
        for function, cause in ((1, 2), (0, 1)):
            ctx.set(dut.be_fault_function, function)
            ctx.set(dut.be_fault_cause, cause)
            ctx.set(dut.be_fault_valid, 1)
            while not (await ctx.tick().sample(dut.be_fault_ready))[2]:
                pass
            ctx.set(dut.be_fault_valid, 0)
            await ctx.tick().repeat(20)
            assert ctx.get(dut.be_reset_request_valid) == (function == 0)
        assert (ctx.get(dut.be_reset_request_epoch), ctx.get(dut.be_reset_request_cause)) == (
            1, ResetCause.BAD_STATE.value)
        ctx.set(dut.be_reset_request_ready, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.be_reset_request_valid)

    async def watch(ctx):
        while True:
            _, _, valid, *beat = await ctx.tick().sample(
                dut.m_axis_tx_tvalid, dut.m_axis_tx_tdata, dut.m_axis_tx_tkeep, dut.m_axis_tx_tlast)
            found.extend([beat] if valid else [])

    simulate(dut, play, background=[watch])
    beats = []
    for number, keep, last in found:
        lanes = [keep >> 4 * i & 0xF for i in range(width // 32)]
        assert set(lanes) <= {0, 0xF}, "whole dwords"
        beats.append({"data": number, "keep": sum(1 << i for i, lane in enumerate(lanes) if lane), "last": last})
    assert [packet[3] for packet in raw_packets(beats)] == [
        int.from_bytes(image[offset:offset + 4], "little") for offset in (0x00, 0x2C)]


@pytest.mark.parametrize("generated", [64], indirect=True)
def test_the_same_device_gives_the_same_bytes_whatever_python_hashes(generated):
    _, made = generated
    running = [
        subprocess.Popen(
            [sys.executable, "-c", GENERATE], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        for seed in ("1", "4242")
    ]
    texts = [process.communicate()[0] for process in running]
    assert texts == [made.verilog] * 2
