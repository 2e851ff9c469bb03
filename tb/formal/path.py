"""Requests as the ingress and the decoder make them, and what a host expects of their completions."""

import contextlib
import threading
from unittest import mock

from amaranth.hdl import Cat, Mux, Signal
from virtio_mmr.config.device import Bar, BarKind, Region, Space
from virtio_mmr.gateware.access import sequencer as sequencer_module
from virtio_mmr.gateware.access.interface import CONFIG, NOWHERE, Kind
from virtio_mmr.gateware.tlp import completion as completion_module
from virtio_mmr_sim.formal import Harness, Side, StreamContract

#: Two windows of a page each; bit 10 of a dword offset says which.
BARS = (Bar(index=0, kind=BarKind.MEMORY64, regions=(
    Region(space=Space.LEGACY, offset=0, size=0x1000), Region(space=Space.CONTROL, offset=0x1000, size=0x1000))),)


#: Proof and cover are built side by side; one at a time may change the constants.
_ALONE = threading.Lock()


@contextlib.contextmanager
def scaled(*, depth: int = 8, reserve: int = 2, rows: int = 16):
    """Queues and stores of this size for what is elaborated inside, so that a few clocks fill them."""
    with (_ALONE, mock.patch.multiple(sequencer_module, QUEUE_DEPTH=depth, QUEUE_RESERVE=reserve),
          mock.patch.multiple(completion_module, ROWS=rows)):
        yield


def lawful(h: Harness, request, *, longest: int) -> None:
    """Assume what ingress and decoder promise about a request, of at most *longest* dwords."""
    StreamContract.watch(h, "request", request, Side.ASSUME)
    p = request.p
    memory = p.kind == Kind.MEMORY
    length = Cat(p.length, p.length == 0)
    promises = (
        length <= longest,
        p.single == (p.length == 1),
        p.posted == (memory & p.write),
        (p.place.bar == NOWHERE) | (memory & (p.place.bar == 0) & (p.place.offset >> 11 == 0))
        | ((p.kind == Kind.CONFIG) & (p.place.bar == CONFIG) & (p.place.offset >> 10 == 0)),
        ~((p.kind == Kind.IO) | (p.kind == Kind.CONFIG)) | ((p.length == 1) & (p.last_be == 0)),
        ~p.poisoned | p.write,
        ~p.locked | ((p.kind == Kind.UNSUPPORTED) & ~p.write),
        ~memory | (p.place.offset[:10] + length <= 1024),
        Mux(p.length == 1, p.last_be == 0, (p.first_be != 0) & (p.last_be != 0)),
    )
    for promise in promises:
        h.assume(~request.valid | promise)


def is_non_posted(p):
    """The request needs an answer."""
    return ((p.kind == Kind.MEMORY) & ~p.posted) | (p.kind == Kind.IO) | (p.kind == Kind.CONFIG) | (
        p.kind == Kind.UNSUPPORTED)


def is_write(p):
    """The request is a posted write that something claims."""
    return (p.kind == Kind.MEMORY) & p.posted & (p.place.bar == 0) & ~p.poisoned


def lowest(enables):
    """Number of the lowest enabled byte; 0 without one."""
    return Mux(enables[0], 0, Mux(enables[1], 1, Mux(enables[2], 2, Mux(enables[3], 3, 0))))


def above(enables):
    """Bytes above the highest enabled one; 0 without one."""
    return Mux(enables[3], 0, Mux(enables[2], 1, Mux(enables[1], 2, Mux(enables[0], 3, 0))))


class Expected:
    """What a host expects of the request on offer while *start* is high, one completion at a time.

    Worked out from PCI Express Base 5.0, 2.2.9 and 2.3.1.1, not from the gateware. While *advance* is high the
    completion at hand is the one that was expected.

    Attributes
    ----------
    open
        Completions are still to come.
    dwords, byte_count, lower_address, has_data, refused, final
        Of the next one.
    """

    def __init__(self, h: Harness, p, start, advance):
        d = h.m.d
        self.left, self.where = Signal(11), Signal(5)
        self.low, self.high, self.zero = Signal(2), Signal(2), Signal()
        self.memory, self.refused, self.write, self.open = Signal(), Signal(), Signal(), Signal()
        self.request = Signal.like(p)
        with h.m.If(start):
            d.sync += [
                self.open.eq(1), self.request.eq(p), self.left.eq(Cat(p.length, p.length == 0)),
                self.where.eq(p.place.offset[:5]), self.low.eq(lowest(p.first_be)),
                self.high.eq(above(Mux(p.length == 1, p.first_be, p.last_be))),
                self.zero.eq((p.length == 1) & (p.first_be == 0)),
                self.memory.eq((p.kind == Kind.MEMORY) | p.locked),
                self.refused.eq((p.place.bar == NOWHERE) | p.poisoned), self.write.eq(p.write),
            ]
        to_boundary = 32 - self.where
        self.dwords = Mux(self.left < to_boundary, self.left, to_boundary)
        self.has_data = ~self.write & ~self.refused
        self.final = self.refused | ~self.memory | (self.dwords == self.left)
        count = Mux(self.zero, 1, (self.left * 4 - self.low - self.high)[:12])
        self.byte_count = Mux(self.memory, count, 4)
        self.lower_address = Mux(self.memory, Cat(self.low, self.where), 0)
        with h.m.If(advance):
            d.sync += [
                self.open.eq(~self.final), self.left.eq(self.left - self.dwords), self.where.eq(0), self.low.eq(0),
            ]
