"""SeaBIOS boots from the design: its own driver reads a sector, whose code reads and writes more of them by int 13h."""

import os
import random
from collections.abc import Callable
from pathlib import Path

from virtio_mmr_sim.device.block import Block

from . import designs
from .designs import Show
from .qemu import memory_file, tool
from .real_mode import EXIT_DEVICE, Program
from .session import Outcome, Session

#: Sectors that the boot sector copies: how many, from where, to where.
COUNT, FROM, TO = 16, 1, 2048

_SECTOR = 512
_BUFFER = 0x8000


def _packet(sector: int) -> bytes:
    """Disk address packet of the extended int 13h services."""
    return bytes([16, 0, COUNT, 0]) + _BUFFER.to_bytes(2, "little") + bytes(2) + sector.to_bytes(8, "little")


def boot_sector() -> bytes:
    """Copies sectors through memory, and says so."""
    program = Program()
    # AH=42h reads, AX=4300h writes, DS:SI is the packet, DL the drive that the firmware has booted from.
    program.code("be").address("read").code("b442 cd13 0f82").distance("failed")
    program.code("be").address("write").code("b80043 cd13 0f82").distance("failed")
    program.print_and_exit("done")
    program.label("failed").print_and_exit("no")
    program.library()
    program.text("done", "guest: copied").text("no", "guest: failed int 13h")
    program.label("read").code(_packet(FROM)).label("write").code(_packet(TO))
    return program.assemble().ljust(510, b"\0") + b"\x55\xAA"


def run(show: Show, *, limit: float = 300, keep: bool = False, echo: Callable[[str], None] | None = None,
        progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """Boot, and judge what is in the image then.

    Raises
    ------
    qemu.QemuError
        If QEMU cannot be had.
    GuestFailed
        If the guest does not come to its end.
    """
    tool(progress)
    image = boot_sector() + random.Random(7).randbytes(_SECTOR * (designs.SECTORS - 1))
    descriptor = memory_file("disk", image)
    path = Path(f"/proc/self/fd/{descriptor}")
    block = Block(path)
    try:
        progress("building the device ...")
        with Session(designs.text("blk", show, io=True), lambda number: block, keep=keep) as session:
            machine = session.show(show)
            machine.start(EXIT_DEVICE, options={"bootindex": 0}, megabytes=64, echo=echo)
            session.run(limit)
            problems = [] if "guest: copied" in machine.console else ["the boot sector has not said that it copied"]
            with path.open("rb") as file:
                file.seek(_SECTOR * TO)
                if file.read(_SECTOR * COUNT) != image[_SECTOR * FROM:_SECTOR * (FROM + COUNT)]:
                    problems.append(f"sectors {TO} and up are not a copy of {FROM} and up")
            return session.outcome(machine, problems)
    finally:
        block.close()
        os.close(descriptor)
