"""Frames made and taken apart by hand from the RFCs, for tests of what speaks to a network."""

import struct

from virtio_mmr_sim.device.peer import HARDWARE

CLIENT = bytes.fromhex("525400123456")
SERVER_IP = bytes([192, 0, 2, 1])
BROADCAST = b"\xff" * 6


def ones_complement(data):
    """The sum of RFC 1071, word by word."""
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | (data[at + 1] if at + 1 < len(data) else 0)
        if total > 0xFFFF:
            total -= 0xFFFF
    return total


def ip(source, destination, protocol, payload, to=HARDWARE, **broken):
    """A frame with an IPv4 packet."""
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, broken.get("fragment", 0), 64, protocol,
                                   0) + source + destination)
    struct.pack_into("!H", header, 10, broken.get("checksum", 0xFFFF - ones_complement(header)))
    return to + CLIENT + b"\x08\x00" + bytes(header) + payload


def unpack(frame):
    """Source, destination, protocol and payload of a packet for us."""
    assert len(frame) >= 60 and frame[6:14] == HARDWARE + b"\x08\x00"
    packet = frame[14:]
    assert packet[0] == 0x45 and ones_complement(packet[:20]) == 0xFFFF
    length = int.from_bytes(packet[2:4], "big")
    return packet[12:16], packet[16:20], packet[9], packet[20:length]


def pseudo(source, destination, protocol, segment):
    return source + destination + bytes((0, protocol)) + len(segment).to_bytes(2, "big") + segment


def udp(source, destination, ports, data, to=HARDWARE, check=True):
    segment = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    value = 0xFFFF - ones_complement(pseudo(source, destination, 17, segment)) if check else 0
    return ip(source, destination, 17, segment[:6] + struct.pack("!H", value) + segment[8:], to)


def unpack_udp(frame):
    """Addresses, ports and data of a datagram for us."""
    source, destination, protocol, segment = unpack(frame)
    assert protocol == 17 and ones_complement(pseudo(source, destination, 17, segment)) == 0xFFFF
    ports = struct.unpack("!HH", segment[:4])
    assert int.from_bytes(segment[4:6], "big") == len(segment)
    return source, destination, ports, segment[8:]


def dhcp(kind, *, flags=0, client=bytes(4), transaction=0xCAFE, **options):
    codes = {"requested": 50, "server": 54, "parameters": 55}
    body = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 3, flags) + client + bytes(12) + CLIENT.ljust(16, b"\0")
    body += bytes(192) + bytes.fromhex("63825363") + bytes((53, 1, kind))
    body += b"".join(bytes((codes[name], len(value))) + value for name, value in options.items()) + b"\xff"
    return udp(client, b"\xff" * 4 if client == bytes(4) else SERVER_IP, (68, 67), body,
               BROADCAST if client == bytes(4) else HARDWARE)


def unpack_dhcp(frame):
    """Hardware and IPv4 destination, fields and options of an answer."""
    source, destination, ports, data = unpack_udp(frame)
    assert source == SERVER_IP and ports == (67, 68) and len(data) >= 300
    assert data[:4] == bytes((2, 1, 6, 0)) and data[28:34] == CLIENT and data[236:240] == bytes.fromhex("63825363")
    options, at = {}, 240
    while data[at] != 255:
        options[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    fields = {"transaction": int.from_bytes(data[4:8], "big"), "client": data[12:16], "yours": data[16:20],
              "next": data[20:24], "file": data[108:236].rstrip(b"\0")}
    return frame[:6], destination, fields, options
