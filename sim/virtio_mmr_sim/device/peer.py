"""The other end of a network device's cable, in user space: enough of a network to boot from.

One host answers ARP and ping, lends addresses by DHCP, and serves files by TFTP and HTTP. Nothing of it leaves this
process.
"""

import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Interface

from .network.dhcp import DhcpServer
from .network.host import Host
from .network.http import PORT, HttpRequest
from .network.tcp import TcpServer
from .network.tftp import TftpServer

#: Where the host stands unless told otherwise: a network for documentation (RFC 5737).
ADDRESS = IPv4Interface("192.0.2.1/24")

#: Its hardware address: locally administered.
HARDWARE = bytes.fromhex("020000c00201")


class Peer:
    """A `Link` for `Net`.

    Parameters
    ----------
    files
        What is served, by name; may change at any time.
    boot_file
        What DHCP clients are told to load: the name of one of *files* for TFTP, or a URL.
    clock
        Seconds, the same that `Device` has.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None, *, boot_file: str = "",
                 address: IPv4Interface = ADDRESS, clock: Callable[[], float] = time.monotonic):
        files = {} if files is None else files
        self.host = Host(address, HARDWARE)
        self.dhcp = DhcpServer(self.host, boot_file)
        self.tftp = TftpServer(self.host, files, clock)
        self.tcp = TcpServer(self.host, clock)
        #: Files that were asked for by HTTP.
        self.served_by_http: list[str] = []
        self.tcp.listeners[PORT] = lambda: HttpRequest(files, self.served_by_http)

    def connect(self, send: Callable[[bytes], None]) -> None:
        """*send* takes frames to the driver."""
        self.host.connect(send)

    def receive(self, frame: bytes) -> None:
        """The driver has sent *frame*."""
        self.host.receive(frame)

    @property
    def wake_at(self) -> float | None:
        """When something is due to be sent again."""
        return min((at for at in (self.tftp.wake_at, self.tcp.wake_at) if at is not None), default=None)

    def wake(self, now: float) -> None:
        """Send again what got lost."""
        self.tftp.wake(now)
        self.tcp.wake(now)
