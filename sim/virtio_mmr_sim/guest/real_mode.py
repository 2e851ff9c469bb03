"""A few lines of 16-bit x86 code as bytes, for guests that are firmware and nothing else.

Every program is loaded at 0x7C00, prints on the first serial port, and ends the machine by a write to
`EXIT_PORT`, where QEMU is given an ``isa-debug-exit`` device.
"""

from collections.abc import Mapping

ORIGIN = 0x7C00
EXIT_PORT = 0xF4

#: What QEMU needs for `EXIT_PORT`.
EXIT_DEVICE = ("-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1")

_SERIAL = 0x3F8

#: Stack below the program, all segments zero, strings upward.
_START = bytes.fromhex("fa 31c0 8ed8 8ec0 8ed0 bc007c fb fc")

# Prints AL. IN and OUT keep it in BL while the line is busy.
_PUT = bytes.fromhex("88c3 ba") + (_SERIAL + 5).to_bytes(2, "little") + bytes.fromhex(
    "ec a820 74fb 88d8 ba") + _SERIAL.to_bytes(2, "little") + bytes.fromhex("ee c3")

_EXIT = bytes.fromhex(f"b000 e6{EXIT_PORT:02x} f4 ebfd")


class Program:
    """Pieces of code, with labels: a reference is a label's name, of two bytes, relative after a call or jump."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, str | bytes]] = []
        self.code(_START)

    def code(self, data: bytes | str) -> "Program":
        """Bytes, or their hexadecimal digits."""
        self._parts.append(("code", bytes.fromhex(data) if isinstance(data, str) else data))
        return self

    def label(self, name: str) -> "Program":
        """A name for this place."""
        self._parts.append(("label", name))
        return self

    def address(self, name: str) -> "Program":
        """The address of a label, as an operand."""
        self._parts.append(("address", name))
        return self

    def distance(self, name: str) -> "Program":
        """The distance to a label, as the operand of a call or near jump."""
        self._parts.append(("distance", name))
        return self

    def assemble(self) -> bytes:
        """The program."""
        labels, at = self._labels(), 0
        data = b""
        for kind, part in self._parts:
            at = ORIGIN + len(data)
            if isinstance(part, bytes):
                data += part
            elif kind == "address":
                data += labels[part].to_bytes(2, "little")
            elif kind == "distance":
                data += (labels[part] - at - 2 & 0xFFFF).to_bytes(2, "little")
        return data

    def _labels(self) -> Mapping[str, int]:
        found, at = {}, ORIGIN
        for kind, part in self._parts:
            if isinstance(part, bytes):
                at += len(part)
            elif kind == "label":
                found[part] = at
            else:
                at += 2
        return found

    def print_and_exit(self, label: str) -> "Program":
        """Print the text at *label* and end the machine."""
        return self.code("be").address(label).code("e8").distance("print").code("e9").distance("exit")

    def library(self) -> "Program":
        """What the programs share: ``print`` of the text at SI, ``put`` of AL, ``exit``."""
        self.label("print").code("ac 84c0 7405 e8").distance("put").code("ebf6 c3")
        self.label("put").code(_PUT)
        return self.label("exit").code(_EXIT)

    def text(self, label: str, text: str) -> "Program":
        """A text and its end."""
        return self.label(label).code(text.encode() + b"\r\n\0")
