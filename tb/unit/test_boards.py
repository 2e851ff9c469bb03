"""Boards: their data are sound, their constraint files say the same, and the pin check finds what is planted."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from virtio_mmr import config
from virtio_mmr_boards import constraints
from virtio_mmr_boards.board import Board, BoardError, Flow
from virtio_mmr_boards.catalogue import BOARDS, board
from virtio_mmr_boards.checks import pins
from virtio_mmr_boards.fit import fitted
from virtio_mmr_boards.ip.choose import ip_of
from virtio_mmr_boards.ip.pcie_7x import pcie_7x
from virtio_mmr_boards.ip.uscale_plus import uscale_plus
from virtio_mmr_boards.packages import PACKAGES
from virtio_mmr_boards.readme import readme

EACH = pytest.mark.parametrize("name", BOARDS)


def ports_of(named: Board) -> dict[str, int | None]:
    """Ports of a top module that has just the pins that the board's data list."""
    ports: dict[str, int | None] = {}
    for pin in named.all_pins():
        plain, bracket, index = pin.port.rstrip("]").partition("[")
        ports[plain] = max(ports.get(plain) or 0, int(index) + 1) if bracket else None
    return ports


def wrong(name: str, old: str, new: str) -> list[str]:
    """What the check says of the board's file in which *old* has become *new*."""
    text = constraints.find(BOARDS[name]).read_text()
    assert old in text
    return pins.check(BOARDS[name], text.replace(old, new, 1), ports_of(BOARDS[name]))


@EACH
def test_name_is_that_of_its_module_and_of_its_constraints(name):
    assert name == BOARDS[name].name
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert constraints.find(BOARDS[name]).name.startswith(f"{name}.")


@EACH
def test_constraint_file_is_fresh(name):
    assert constraints.find(BOARDS[name]).read_text() == constraints.render(BOARDS[name]), (
        "run: python -m virtio_mmr_boards.constraints")


@EACH
def test_pins_are_in_order(name):
    text = constraints.find(BOARDS[name]).read_text()
    assert pins.check(BOARDS[name], text, ports_of(BOARDS[name])) == []


@EACH
def test_part_and_package_belong_together(name):
    part, package = BOARDS[name].part.lower(), BOARDS[name].package
    assert package in PACKAGES
    assert part.startswith(package.partition("-")[0])
    if BOARDS[name].flow is Flow.VIVADO:
        assert package.partition("-")[2] in part
        assert BOARDS[name].loader.part.replace("-", "") in part.replace("-", "")


@EACH
def test_what_is_not_confirmed_is_said(name):
    assert BOARDS[name].confirmed and BOARDS[name].open_points


def test_constraints_are_found_in_the_package_first(tmp_path, monkeypatch):
    folders = (tmp_path / "package", tmp_path / "checkout")
    monkeypatch.setattr(constraints, "FOLDERS", folders)
    versa = BOARDS["versa-ecp5-5g"]
    with pytest.raises(BoardError, match=r"versa-ecp5-5g\.lpf is not installed; looked in .*package and .*checkout"):
        constraints.find(versa)
    for folder in reversed(folders):
        folder.mkdir()
        (folder / versa.constraints).write_text("")
        assert constraints.find(versa).parent == folder


def test_unknown_board():
    with pytest.raises(BoardError, match=r'board "nitefury" is not known; did you mean "nitefury-ii"\?'):
        board("nitefury")
    with pytest.raises(BoardError, match="there are nitefury-ii, litefury, "):
        board("spartan")


def test_streams_carry_the_link():
    """The user clock's bytes are at least what the lanes bring: 4 Gb/s of data a lane at Gen2, 7.88 at Gen3."""
    for each in BOARDS.values():
        if each.link:
            lane = {2: 4.0, 3: 8.0 * 128 / 130}[each.link.generation]
            assert each.link.width * each.link.clock / 1000 >= lane * len(each.link.lanes), each.name


def test_ports_of_the_ip_follow_lanes_and_width():
    """Against the generated instances that the tables were read from, and the model's widths of tuser."""
    squirrel = ip_of(BOARDS["pcie-squirrel"].link)
    assert {name: squirrel.port(name).width for name in ("m_axis_rx_tdata", "m_axis_rx_tkeep", "pci_exp_txp")} == {
        "m_axis_rx_tdata": 64, "m_axis_rx_tkeep": 8, "pci_exp_txp": 1}
    assert "input [0:0] pci_exp_rxp" in squirrel.black_box()
    kcu = ip_of(BOARDS["kcu116"].link)
    found = {name: kcu.port(name).width for name in (
        "m_axis_cq_tuser", "s_axis_cc_tuser", "s_axis_rq_tuser", "m_axis_rc_tuser", "s_axis_rq_tkeep", "pci_exp_rxn")}
    assert found == {"m_axis_cq_tuser": 88, "s_axis_cc_tuser": 33, "s_axis_rq_tuser": 62, "m_axis_rc_tuser": 75,
                     "s_axis_rq_tkeep": 8, "pci_exp_rxn": 8}


@EACH
def test_ties_are_inputs_of_the_ip(name):
    if link := BOARDS[name].link:
        ip = ip_of(link)
        assert len({port.name for port in ip.ports}) == len(ip.ports)
        for tied, value in ip.ties.items():
            assert ip.port(tied).direction == "input", tied
            if source := ip.port(value):
                assert (source.direction, source.width) == ("output", ip.port(tied).width)


#: By board: part, reset with its standard, positive sides of reference clock, receive and transmit lanes, lane 0 first.
#: Typed from a table that was made from other people's board files before these boards had modules here.
_M2 = "J1 LVCMOS33", "F6", "B10 B8 D11 D9", "B6 B4 D5 D7"
_NOTED = {
    "nitefury-ii": ("xc7a200tfbg484", *_M2),
    "litefury": ("xc7a100tfgg484", *_M2),
    "acorn-cle-215": ("xc7a200tfbg484", *_M2),
    "acorn-cle-215-plus": ("xc7a200tfbg484", *_M2),
    "pcie-squirrel": ("xc7a35tfgg484", "B13 LVCMOS33", "F6", "B10", "B6"),
    "kcu116": ("xcku5p-ffvb676", "T19 LVCMOS18", "V7", "P2 T2 V2 Y2 AB2 AD2 AE4 AF2", "R5 U5 W5 AA5 AC5 AD7 AE9 AF7"),
    "rk-xcku5p-f": ("xcku5p-ffvb676-2", "T19 LVCMOS12", "AB7", "AB2 AD2 AE4 AF2", "AC5 AD7 AE9 AF7"),
}


def test_pins_are_those_that_were_noted():
    assert set(_NOTED) == {name for name, each in BOARDS.items() if each.link}
    for name, (part, reset, reference, rx, tx) in _NOTED.items():
        each = BOARDS[name]
        pins = {pin.port: pin for pin in each.all_pins()}
        assert each.part.startswith(part), name
        assert f"{pins['pcie_reset_n'].site} {pins['pcie_reset_n'].standard}" == reset, name
        assert pins["pcie_refclk_p"].site == reference, name
        for direction, sites in (("rx", rx), ("tx", tx)):
            assert " ".join(lane[0] for lane in (getattr(lane, direction) for lane in each.link.lanes)) == sites, name


def test_lanes_of_the_m2_cards_are_on_the_maker_s_transceivers():
    """The maker's constraints: lane 0 on X0Y6, then 4, 5, 7; the Squirrel's one lane on X0Y2."""
    found = [lane.transceiver for lane in BOARDS["nitefury-ii"].link.lanes]
    assert found == [f"GTPE2_CHANNEL_X0Y{y}" for y in (6, 4, 5, 7)]
    assert [lane.transceiver for lane in BOARDS["pcie-squirrel"].link.lanes] == ["GTPE2_CHANNEL_X0Y2"]


def test_readme_names_no_version_of_a_tool_that_nobody_has_tried():
    for each in BOARDS.values():
        text = readme(each)
        assert not re.search(r"20\d\d\.\d|or later", text)
        assert "Nothing here has run on hardware." in text
        if each.flow is Flow.VIVADO:
            assert "no version of it has been tried" in text


# --- Planted faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "old", "new", "said"), [
    ("kcu116", "D9 [get_ports {led[1]}]", "C9 [get_ports {led[1]}]", "pin C9 is used 2 times"),
    ("kcu116", "set_property PACKAGE_PIN D9 [get_ports {led[1]}]\n", "", "port led[1] of the top module has no pin"),
    ("kcu116", "PACKAGE_PIN T19 [get_ports pcie_reset_n]", "PACKAGE_PIN T19 [get_ports pcie_rst_n]",
     "port pcie_rst_n is not in the top module"),
    ("kcu116", "PACKAGE_PIN T19", "PACKAGE_PIN AG19", "pin AG19 of port pcie_reset_n is not in package"),
    ("kcu116", "PACKAGE_PIN T19", "PACKAGE_PIN I19", "pin I19 of port pcie_reset_n is not in package"),
    ("kcu116", "set_property IOSTANDARD LVCMOS18 [get_ports pcie_reset_n]\n", "",
     "port pcie_reset_n on pin T19 has no I/O standard"),
    ("kcu116", "V7 [get_ports pcie_refclk_p]", "V7 [get_ports pcie_refclk_p]\n"
     "set_property IOSTANDARD LVDS [get_ports pcie_refclk_p]",
     "port pcie_refclk_p is on transceiver pin V7, which has no I/O standard"),
    ("nitefury-ii", "PACKAGE_PIN B10", "PACKAGE_PIN D9", "lane 0 rx on D9 A10 is not GTPE2_CHANNEL_X0Y6"),
    ("nitefury-ii", "F6 [", "F10 [", "reference clock on F10 E6, which is no reference pair"),
    ("nitefury-ii", "create_clock", "create_clok", "line not understood: create_clok"),
    ("nitefury-ii", "[get_ports pcie_refclk_p]", "[get_ports refclk]", "port refclk is not in the top module"),
    ("versa-ecp5-5g", 'SITE "P3"', 'SITE "E16"', "pin E16 is used 2 times"),
    ("versa-ecp5-5g", 'SITE "P3"', 'SITE "Z3"', "pin Z3 of port clk100 is not in package"),
    ("versa-ecp5-5g", 'IOBUF PORT "clk100" IO_TYPE=LVDS;', "", "port clk100 on pin P3 has no I/O standard"),
])
def test_planted_pin_fault_is_found(name, old, new, said):
    assert any(said in sentence for sentence in wrong(name, old, new))


def test_a_quad_without_lane_0_is_found():
    """Four lanes of the RK-XCKU5P-F are all of quad 224; the KCU116's lane 0 is in the quad above."""
    for name, right, other in (("rk-xcku5p-f", "GTY_Quad_224", "GTY_Quad_225"),
                               ("kcu116", "GTY_Quad_225", "GTY_Quad_224")):
        each = BOARDS[name]
        assert each.link.quad == right
        text = constraints.find(each).read_text()
        assert pins.check(replace(each, link=replace(each.link, quad=other)), text, ports_of(each)) == [
            f"the IP is told {other}, and lane 0 on {each.link.lanes[0].transceiver} is in {right}"]


# --- Devices on boards ----------------------------------------------------------------------------------------


def test_what_has_no_room_is_said():
    """The modern interface's five capabilities need 88 bytes, and UltraScale+ has 16 for them."""
    text = (Path(__file__).parents[2] / "examples" / "net-transitional.toml").read_text()
    device, said = fitted(BOARDS["rk-xcku5p-f"], config.loads(text))
    assert device.datapath.adapter == "pcie4_uscale_plus"
    assert said[0] == "adapter raw becomes pcie4_uscale_plus"
    assert [sentence for sentence in said if sentence.startswith("modern_common is left out: ")]
    assert not [sentence for sentence in fitted(BOARDS["versa-ecp5-5g"], config.loads(text))[1]]


def test_a_classic_list_that_the_ip_does_not_link_is_said():
    """The 7-series block, as published designs generate it, has next pointers of 0 and its window from 0xA8 on."""
    text = (Path(__file__).parents[2] / "examples" / "net-transitional.toml").read_text()
    [said] = [each for each in fitted(BOARDS["nitefury-ii"], config.loads(text))[1] if "classic list" in each]
    assert re.match(r"(mmr_classic|modern_common), .*modern_notify.* in the classic list: ", said)
    assert "to try: set MSIX_CAP_NEXTPTR of the cell PCIE_2_1 to 8'hA8 after synthesis" in said
    without = config.loads('[device]\nkind = "rng"\n[interrupts]\nmsix_vectors = 0\n')
    assert [each for each in fitted(BOARDS["nitefury-ii"], without)[1] if "to try: set PCIE_CAP_NEXTPTR of" in each]
    alone = config.loads('[device]\nkind = "net"\n[capabilities]\nmmr = ["vsec"]\n')
    for name in ("nitefury-ii", "kcu116"):
        assert not [each for each in fitted(BOARDS[name], alone)[1] if "classic list" in each]


def test_reads_that_need_extended_tags_are_said():
    """UltraScale+ does not show Extended Tag Field Enable; the 7-series block shows all of Device Control."""
    many = config.loads('[device]\nkind = "net"\n[requester]\nreads = 64\n')
    few = config.loads('[device]\nkind = "net"\n[requester]\nreads = 32\n')
    assert [each for each in fitted(BOARDS["rk-xcku5p-f"], many)[1] if each.startswith("requester.reads = 64: 32 are")]
    for name, device in (("rk-xcku5p-f", few), ("nitefury-ii", many), ("versa-ecp5-5g", many)):
        assert not [each for each in fitted(BOARDS[name], device)[1] if "requester.reads" in each]


@pytest.mark.parametrize(("file", "ip"), [
    ("7series/pcie_7x_0.v", pcie_7x(4, 128)),
    ("ultrascale/pcie4_uscale_plus_0.v", uscale_plus("pcie4_uscale_plus", 4, 128)),
])
def test_the_examples_know_the_same_ports_of_the_ip(file, ip):
    """Their lists were written by other hands, from other designs, and hold what the examples connect."""
    text = re.sub(r"//[^\n]*", "", (Path(__file__).parents[2] / "examples" / file).read_text())
    ports = re.search(rf"module {ip.module}\s*\((.*?)\);", text, re.DOTALL)[1]
    wrong, seen, direction, width = [], 0, "", 1
    for part in ports.split(","):
        found = re.fullmatch(r"\s*(?:(input|output)\s+(?:wire\s+)?(?:\[\s*(\d+):0\])?)?\s*(\w+)\s*", part)
        if found[1]:
            direction, width = found[1], int(found[2] or 0) + 1
        mine = ip.port(found[3])
        seen += 1
        if mine is None or (mine.direction, mine.width) != (direction, width):
            wrong.append((found[3], direction, width, mine))
    assert wrong == []
    assert seen > 40


@EACH
def test_the_bitstream_is_small_and_loaded_fast(name):
    """What every published design for these boards does for the 100 ms that a slot gives."""
    if BOARDS[name].flow is Flow.VIVADO:
        properties = dict(BOARDS[name].configuration.properties)
        assert properties["BITSTREAM.GENERAL.COMPRESS"] == "TRUE"
        assert properties["BITSTREAM.CONFIG.SPI_BUSWIDTH"] == "4"
        assert float(properties["BITSTREAM.CONFIG.CONFIGRATE"]) == BOARDS[name].configuration.rate


def test_time_to_load_is_bits_over_four_wires():
    """17,536,096 bits at 66 MHz; where no source says how many bits there are, nothing is said."""
    assert round(BOARDS["pcie-squirrel"].configuration.milliseconds, 1) == 66.4
    assert BOARDS["kcu116"].configuration.milliseconds == 0
