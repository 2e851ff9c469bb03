"""A host on Ethernet: answers ARP and ping, hands UDP and TCP to whoever listens."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from typing import Protocol

from . import packets
from .packets import ETHERNET, Datagram, Ip, Malformed

#: Types of ICMP messages.
_ECHO_REPLY, _ECHO_REQUEST = 0, 8

_ANYBODY = IPv4Address("255.255.255.255")


class Protocol4(Protocol):
    """What handles a protocol of IPv4."""

    def receive(self, packet: Ip) -> None:
        """A packet for this host; may raise `Malformed`."""


class Host:
    """One address at one end of a cable.

    It never asks by ARP: whoever it has something to say to has spoken before. What is malformed or for nobody here is
    dropped and counted.
    """

    def __init__(self, address: IPv4Interface, hardware: bytes):
        self.interface, self.hardware = address, hardware
        #: Called with datagrams for a UDP port: the packet that it came in, and the datagram.
        self.udp: dict[int, Callable[[Ip, Datagram], None]] = {}
        #: Other protocols, by number.
        self.protocols: dict[int, Protocol4] = {}
        self.neighbours: dict[IPv4Address, bytes] = {}
        self.dropped = self.pings = 0
        self._send: Callable[[bytes], None] = lambda frame: None
        self._identification = 0

    @property
    def address(self) -> IPv4Address:
        """Its address."""
        return self.interface.ip

    def connect(self, send: Callable[[bytes], None]) -> None:
        """*send* takes frames to the other end of the cable."""
        self._send = send

    # Sending

    def send(self, packet: Ip, hardware: bytes | None = None) -> None:
        """Send a packet, to *hardware* if that is not known from what came."""
        if hardware is None:
            hardware = packets.BROADCAST if packet.destination == _ANYBODY else self.neighbours.get(packet.destination)
        if hardware is None:
            self.dropped += 1
            return
        self._identification += 1
        self._send(packets.ethernet(hardware, self.hardware, packets.IPV4, packet.pack(self._identification)))

    def send_udp(self, destination: IPv4Address, datagram: Datagram, hardware: bytes | None = None) -> None:
        """Send a UDP datagram."""
        self.send(packets.udp(self.address, destination, datagram), hardware)

    # Receiving

    def receive(self, frame: bytes) -> None:
        """Take a frame."""
        if frame[:6] not in (self.hardware, packets.BROADCAST):
            self.dropped += 1
            return
        kind, payload = int.from_bytes(frame[12:ETHERNET], "big"), frame[ETHERNET:]
        try:
            if kind == packets.ARP:
                self._arp(payload)
            elif kind == packets.IPV4:
                self._ip(frame[6:12], packets.parse_ip(payload))
            else:
                raise Malformed("nothing that is spoken here")
        except Malformed:
            self.dropped += 1

    def _arp(self, payload: bytes) -> None:
        if len(payload) < 28 or payload[:6] != bytes((0, 1, 8, 0, 6, 4)):
            raise Malformed("no ARP for IPv4 on Ethernet")
        hardware, sender, sought = payload[8:14], IPv4Address(payload[14:18]), IPv4Address(payload[24:28])
        if sender.packed != bytes(4):
            self.neighbours[sender] = hardware
        if payload[7] == 1 and sought == self.address:
            self._send(packets.ethernet(hardware, self.hardware, packets.ARP,
                                        packets.arp(2, self.hardware, self.address, hardware, sender)))

    def _ip(self, hardware: bytes, packet: Ip) -> None:
        if packet.source.packed != bytes(4):
            self.neighbours[packet.source] = hardware
        if packet.destination not in (self.address, _ANYBODY, self.interface.network.broadcast_address):
            raise Malformed("for somebody else")
        if packet.protocol == packets.ICMP:
            self._icmp(packet)
        elif packet.protocol == packets.UDP:
            datagram = packets.parse_udp(packet)
            if datagram.destination not in self.udp:
                raise Malformed("nobody listens at that port")
            self.udp[datagram.destination](packet, datagram)
        elif packet.protocol in self.protocols:
            self.protocols[packet.protocol].receive(packet)
        else:
            raise Malformed("a protocol that nobody speaks")

    def _icmp(self, packet: Ip) -> None:
        message = packet.payload
        if len(message) < 8 or packets.checksum(message):
            raise Malformed("an ICMP message")
        if message[0] == _ECHO_REQUEST and packet.destination == self.address:
            self.pings += 1
            answer = bytes((_ECHO_REPLY, 0, 0, 0)) + message[4:]
            answer = answer[:2] + packets.checksum(answer).to_bytes(2, "big") + answer[4:]
            self.send(Ip(self.address, packet.source, packets.ICMP, answer))
