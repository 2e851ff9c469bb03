"""Ethernet, ARP, IPv4, ICMP and UDP as bytes (RFC 826, 791, 792, 768)."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

BROADCAST = b"\xff" * 6

#: Ether types.
IPV4, ARP = 0x0800, 0x0806

#: Protocols of IPv4.
ICMP, TCP, UDP = 1, 6, 17

#: Bytes of the Ethernet header, and what a frame is filled up to.
ETHERNET, FRAME = 14, 60


class Malformed(ValueError):
    """The bytes are no packet of the kind that they should be."""


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """A frame, filled up to the least length."""
    return (destination + source + struct.pack("!H", kind) + payload).ljust(FRAME, b"\0")


@dataclass(frozen=True)
class Ip:
    """An IPv4 packet."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes

    def pack(self, identification: int = 0) -> bytes:
        """Its bytes; it must not be cut on its way."""
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(self.payload), identification & 0xFFFF, 0x4000, 64,
                             self.protocol, 0, self.source.packed, self.destination.packed)
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + self.payload


def parse_ip(data: bytes) -> Ip:
    """Take an IPv4 packet apart; raises `Malformed`, also for a fragment."""
    if len(data) < 20 or data[0] >> 4 != 4:
        raise Malformed("no IPv4 header")
    header, total = 4 * (data[0] & 15), int.from_bytes(data[2:4], "big")
    if not 20 <= header <= total <= len(data):
        raise Malformed("lengths of the IPv4 header do not fit")
    if checksum(data[:header]):
        raise Malformed("checksum of the IPv4 header")
    if int.from_bytes(data[6:8], "big") & 0x3FFF:
        raise Malformed("a fragment")
    return Ip(IPv4Address(data[12:16]), IPv4Address(data[16:20]), data[9], data[header:total])


def pseudo_header(packet: Ip) -> bytes:
    """What the checksums of UDP and TCP cover beside the payload."""
    return packet.source.packed + packet.destination.packed + struct.pack("!BBH", 0, packet.protocol,
                                                                          len(packet.payload))


def transport_checksum(source: IPv4Address, destination: IPv4Address, protocol: int, segment: bytes) -> int:
    """The checksum of a UDP or TCP segment in which that field is zero."""
    return checksum(pseudo_header(Ip(source, destination, protocol, segment)) + segment)


@dataclass(frozen=True)
class Datagram:
    """A UDP datagram."""

    source: int
    destination: int
    data: bytes


def parse_udp(packet: Ip) -> Datagram:
    """Take a UDP datagram apart; raises `Malformed`."""
    segment = packet.payload
    if len(segment) < 8:
        raise Malformed("no UDP header")
    source, destination, length, check = struct.unpack("!HHHH", segment[:8])
    if not 8 <= length <= len(segment):
        raise Malformed("length of the UDP header")
    segment = segment[:length]
    if check and checksum(pseudo_header(Ip(packet.source, packet.destination, UDP, segment)) + segment):
        raise Malformed("checksum of the UDP datagram")
    return Datagram(source, destination, segment[8:])


def udp(source: IPv4Address, destination: IPv4Address, datagram: Datagram) -> Ip:
    """The packet of a UDP datagram."""
    segment = struct.pack("!HHHH", datagram.source, datagram.destination, 8 + len(datagram.data), 0) + datagram.data
    value = transport_checksum(source, destination, UDP, segment) or 0xFFFF
    return Ip(source, destination, UDP, segment[:6] + value.to_bytes(2, "big") + segment[8:])


def arp(operation: int, hardware: bytes, address: IPv4Address, target: bytes, sought: IPv4Address) -> bytes:
    """An ARP request (1) or reply (2)."""
    return struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, operation, hardware, address.packed, target, sought.packed)
