"""Configuration space as the hexadecimal text that ``lspci -xxxx`` writes and ``lspci -F`` reads."""

import re

#: Bytes of a header: what `lspci -x` writes.
HEADER_SIZE = 64

_LINE = re.compile(r"\s*([0-9a-fA-F]{2,3}):((?:\s[0-9a-fA-F]{2}){1,16})\s*$")


def dump(image: bytes, slot: str = "00:00.0") -> str:
    """*image* as text, under a line that names the slot, class and ids."""
    vendor, device, class_code = (int.from_bytes(image[at : at + 2], "little") for at in (0x00, 0x02, 0x0A))
    lines = [f"{slot} Class {class_code:04x}: {vendor:04x}:{device:04x}"]
    lines += [f"{at:02x}: {image[at : at + 16].hex(' ')}" for at in range(0, len(image), 16)]
    return "\n".join(lines) + "\n"


def parse(text: str) -> bytes:
    """The first function's bytes in *text*: 64, 256 or 4096 of them, as many as there are.

    Raises
    ------
    ValueError
        If there are fewer than a header has, or they do not follow each other from offset 0.
    """
    image = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            continue
        offset = int(match[1], 16)
        if offset == 0 and image:
            break
        if offset != len(image):
            raise ValueError(f"line {number}: offset {offset:#x} follows {len(image):#x} bytes; lines are missing")
        image += bytes.fromhex(match[2])
    if not image:
        raise ValueError("no lines of the form `00: f4 1a ...`; write the dump with `lspci -xxxx`")
    if len(image) < HEADER_SIZE:
        raise ValueError(
            f"{len(image)} bytes, and the header alone has {HEADER_SIZE}; write the dump with `lspci -xxxx`"
        )
    return bytes(image)
