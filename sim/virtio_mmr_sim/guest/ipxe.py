"""iPXE's own driver gets an address over the design, and loads a program over HTTP that says what it consists of."""

import random
from collections.abc import Callable

from virtio_mmr.spec.device_types import NET

from virtio_mmr_sim.device.net import Net
from virtio_mmr_sim.device.peer import ADDRESS, Peer

from . import designs, packages
from .designs import Show
from .qemu import tool
from .real_mode import EXIT_DEVICE, Program
from .session import Outcome, Session

#: Dwords of the file that the program sums up.
_DWORDS = 4096


def checksum(data: bytes) -> int:
    """Rotate left by one, then add, for each dword."""
    total = 0
    for at in range(0, len(data), 4):
        total = (total << 1 | total >> 31) + int.from_bytes(data[at:at + 4], "little") & 0xFFFF_FFFF
    return total


def program() -> bytes:
    """Prints the checksum of what follows it, in hexadecimal digits."""
    made = Program()
    made.code("be").address("data").code("b9" + _DWORDS.to_bytes(2, "little").hex())
    # EBX = 0; for each dword: rotate EBX, add. The sum waits in EDI, for printing needs BL.
    made.code("6631db").code("66ad 66d1c3 6601c3 e2f6").code("6689df")
    made.code("be").address("sum").code("e8").distance("print")
    # Eight digits from the top: rotate EDI by 4, take the low nibble, make it a digit, or a letter 7 places behind.
    made.code("b90800").label("digit").code("66c1c704 89f8 240f 0430 3c3a 7202 0427 e8").distance("put")
    made.code("e2eb").print_and_exit("end")
    made.library().label("sum").code(b"guest: sum \0").text("end", "")
    made.label("data").code(random.Random(8).randbytes(4 * _DWORDS))
    return made.assemble()


def rom(data: bytes) -> bytes:
    """*data*, an option ROM for the modern device id, with the legacy one in its place and its checksum right."""
    assert NET.transitional_id is not None
    changed = bytearray(data)
    structure = int.from_bytes(data[0x18:0x1A], "little")
    changed[structure + 6:structure + 8] = NET.transitional_id.to_bytes(2, "little")
    image = 512 * changed[2]
    # The bytes of the image add up to zero; this one of them is there for that.
    changed[6] = (changed[6] - sum(changed[:image])) & 0xFF
    return bytes(changed)


def run(show: Show, *, limit: float = 300, keep: bool = False, echo: Callable[[str], None] | None = None,
        progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """Boot from the network, and judge what the program says.

    Raises
    ------
    qemu.QemuError, packages.PackagesMissing
        If QEMU or iPXE cannot be had.
    GuestFailed
        If the guest does not come to its end.
    """
    tool(progress)
    image = packages.bundle("ipxe", progress) / "usr/share/qemu/pxe-virtio.rom"
    loaded = program()
    device = Net(Peer({"boot": loaded}, boot_file=f"http://{ADDRESS.ip}/boot"))
    progress("building the device ...")
    with Session(designs.text("net", show, io=True), lambda number: device, keep=keep) as session:
        machine = session.show(show)
        machine.start(EXIT_DEVICE, files={"rom": rom(image.read_bytes())}, options={"bootindex": 0, "romfile": "@rom"},
                      megabytes=64, echo=echo)
        session.run(limit)
        expected = [f"{checksum(loaded[-4 * _DWORDS:]):08x}"]
        problems = [] if machine.said.get("sum") == expected else [
            f"the checksum is {machine.said.get('sum')}, {expected} was due"]
        return session.outcome(machine, problems)
