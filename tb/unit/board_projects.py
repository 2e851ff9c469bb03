"""Projects around a core that is nothing but ports: scripts and top module are the same for any core."""

from functools import cache

from virtio_mmr import config
from virtio_mmr_boards import constraints
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_boards.fit import fitted
from virtio_mmr_boards.ip.choose import ip_of
from virtio_mmr_boards.vivado import scripts, top

#: One board for each combination of IP, lanes and width.
DISTINCT = ("nitefury-ii", "pcie-squirrel", "kcu116", "rk-xcku5p-f")

_STREAMS = ("cfg_ext_", "m_axis_", "s_axis_", "rx_np_ok", "cfg_flr", "cfg_interrupt_int")


def interface(name):
    """Ports of a core that takes and drives a part of what the board's IP has."""
    ip = ip_of(BOARDS[name].link)
    ports = [("clk", "input", 1), ("rst", "input", 1), ("count_hole", "output", 16)]
    ports += [("be_reset_request_function", "output", 8), ("be_reset_request_epoch", "output", 2),
              ("be_reset_request_cause", "output", 2),
              ("be_reset_request_valid", "output", 1), ("be_reset_request_ready", "input", 1),
              ("be_reset_done_function", "input", 8), ("be_reset_done_epoch", "input", 2),
              ("be_reset_done_valid", "input", 1), ("be_reset_done_ready", "output", 1),
              ("be_fault_function", "input", 8), ("be_fault_valid", "input", 1), ("be_fault_ready", "output", 1)]
    ports += [(port.name, "input" if port.direction == "output" else "output", port.width)
              for port in ip.ports if port.name.startswith(_STREAMS)]
    return {"module": "virtio_mmr", "width": BOARDS[name].link.width,
            "ports": [{"name": port, "direction": direction, "width": width} for port, direction, width in ports]}


def core(name):
    """Verilog of that core, black."""
    ports = ", ".join(
        f"{port['direction']} [{port['width'] - 1}:0] {port['name']}" for port in interface(name)["ports"])
    return f"(* blackbox *)\nmodule virtio_mmr({ports});\nendmodule\n"


@cache
def _files(name, device):
    board = BOARDS[name]
    ip = ip_of(board.link)
    return {
        "virtio_mmr.v": core(name),
        "board_top.v": top.top(board, ip, interface(name), 0x1234),
        **scripts.scripts(board, ip, fitted(board, config.loads(device))[0]),
        board.constraints: constraints.find(board).read_text(),
    }


def files(name, device='[device]\nkind = "net"\n'):
    """Files of a board's project, a copy to be changed."""
    return dict(_files(name, device))


def changed(name, file, old, new):
    """The same with one place of one file changed."""
    found = files(name)
    assert old in found[file], f"{old!r} is not in {file}"
    found[file] = found[file].replace(old, new, 1)
    return found
