"""A DHCP server (RFC 2131, 2132): an address for each hardware address, and what to boot."""

import enum
import struct
from ipaddress import IPv4Address

from .host import Host
from .packets import Datagram, Ip, Malformed

SERVER, CLIENT = 67, 68

_COOKIE = b"\x63\x82\x53\x63"
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_BROADCAST_FLAG = 0x8000

#: Seconds for which an address is lent.
LEASE = 24 * 3600

#: Addresses of clients start so far behind the first of the network.
FIRST = 15


class Kind(enum.IntEnum):
    """Values of option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(enum.IntEnum):
    """Options that are understood or sent."""

    PAD = 0
    MASK = 1
    ROUTER = 3
    REQUESTED = 50
    LEASE = 51
    KIND = 53
    SERVER = 54
    END = 255


def parse_options(data: bytes) -> dict[int, bytes]:
    """Options by code; raises `Malformed`."""
    found, at = {}, 0
    while at < len(data) and data[at] != Option.END:
        if data[at] == Option.PAD:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            raise Malformed("an option of DHCP ends behind the packet")
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


class DhcpServer:
    """Answers at *host*'s port 67; *boot_file* is what clients are told to load from that host."""

    def __init__(self, host: Host, boot_file: str = ""):
        self._host, self.boot_file = host, boot_file
        #: Addresses by hardware address.
        self.leases: dict[bytes, IPv4Address] = {}
        host.udp[SERVER] = self._receive

    def _address(self, hardware: bytes) -> IPv4Address:
        if hardware not in self.leases:
            network = self._host.interface.network
            count = FIRST + len(self.leases)
            # The last one is for broadcasts.
            if count >= network.num_addresses - 2:
                raise Malformed("no address is left")
            self.leases[hardware] = network[1 + count]
        return self.leases[hardware]

    def _receive(self, packet: Ip, datagram: Datagram) -> None:
        data = datagram.data
        if len(data) < _FIXED.size + 4 or data[_FIXED.size:_FIXED.size + 4] != _COOKIE:
            raise Malformed("no packet of DHCP")
        operation, kind, length, _, transaction, _, flags, client, *_, hardware, _, _ = _FIXED.unpack_from(data)
        if (operation, kind, length) != (1, 1, 6):
            raise Malformed("no request of DHCP on Ethernet")
        options = parse_options(data[_FIXED.size + 4:])
        hardware = hardware[:6]
        answer, lent = self._decide(options, hardware, IPv4Address(client))
        if answer is not None:
            self._answer(answer, lent, transaction, flags, IPv4Address(client), hardware)

    def _decide(self, options: dict[int, bytes], hardware: bytes, client: IPv4Address
                ) -> tuple[Kind | None, IPv4Address]:
        """What to answer, and the address that is the client's."""
        nobody = IPv4Address(0)
        if options.get(Option.SERVER, self._host.address.packed) != self._host.address.packed:
            return None, nobody
        match options.get(Option.KIND):
            case b"\x01":
                return Kind.OFFER, self._address(hardware)
            case b"\x03":
                lent = self._address(hardware)
                wanted = options.get(Option.REQUESTED, client.packed)
                return (Kind.ACK, lent) if wanted == lent.packed else (Kind.NAK, nobody)
            case b"\x08":
                return Kind.ACK, nobody
        return None, nobody

    def _answer(self, kind: Kind, lent: IPv4Address, transaction: int, flags: int, client: IPv4Address,
                hardware: bytes) -> None:
        host, network = self._host, self._host.interface.network
        options: list[tuple[int, bytes]] = [(Option.KIND, bytes([kind])), (Option.SERVER, host.address.packed)]
        if kind is not Kind.NAK:
            options += [(Option.MASK, network.netmask.packed), (Option.ROUTER, host.address.packed)]
            if lent != IPv4Address(0):
                options.append((Option.LEASE, LEASE.to_bytes(4, "big")))
        boots = kind is not Kind.NAK and self.boot_file != ""
        data = _FIXED.pack(2, 1, 6, 0, transaction, 0, flags, client.packed if kind is Kind.ACK else bytes(4),
                           lent.packed, host.address.packed if boots else bytes(4), bytes(4), hardware, b"",
                           self.boot_file.encode() if boots else b"")
        data += _COOKIE + b"".join(bytes((code, len(value))) + value for code, value in options) + bytes([Option.END])
        if client != IPv4Address(0) and kind is not Kind.NAK:
            destination, to = client, hardware
        elif flags & _BROADCAST_FLAG or kind is Kind.NAK:
            destination, to = IPv4Address("255.255.255.255"), b"\xff" * 6
        else:
            destination, to = lent, hardware
        host.send_udp(destination, Datagram(SERVER, CLIENT, data.ljust(300, b"\0")), to)
