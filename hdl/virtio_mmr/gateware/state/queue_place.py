"""Where a queue's row is in a table of every function's queues, and how many entries a queue has."""

from collections.abc import Callable, Sequence

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib.wiring import In

from virtio_mmr.gateware.access.carryless import below


class QueuePlace:
    """The part of a queue table that knows functions and queues, but not what a row holds.

    A row's number is {function, queue}, with `bits` for the queue. With one function a row is named in the clock of its
    use, with more in the clock before it, when block RAM wants to know.

    Parameters
    ----------
    sizes
        Entries of each queue of the physical function.
    virtual_sizes
        Entries of each queue of a virtual one; None if they are as the physical function's.
    functions
        Number of functions.
    """

    def __init__(self, sizes: Sequence[int], virtual_sizes: Sequence[int] | None, functions: int):
        self._kinds = [tuple(sizes)] if functions == 1 else [tuple(sizes), tuple(virtual_sizes or sizes)]
        #: Bits of a queue's number in a row's.
        self.bits = max((len(sizes) - 1).bit_length() for sizes in self._kinds)
        #: Number of rows.
        self.rows = functions << self.bits
        #: Entries of the largest queue.
        self.most = max(max(sizes) for sizes in self._kinds)
        #: Members of the table that name a row.
        self.members = {"function": In(8), "queue": In(16)} if functions == 1 else {
            "look_function": In(8), "look_queue": In(16)}

    def number(self, function, queue):
        """Number of the row of this *queue*."""
        return Cat(queue[:self.bits], function)

    def select(self, m: Module, table) -> None:
        """Adds to *m* what `exists` and `of` need; the members of *table* name the row."""
        function, queue = (getattr(table, name) for name in self.members)
        if len(self._kinds) == 1:
            self._is_kind, self._queue = [C(1, 1)], queue
            return
        virtual, self._queue = Signal(name="is_virtual"), Signal(16, name="shown_queue")
        m.d.sync += [virtual.eq(function != 0), self._queue.eq(queue)]
        self._is_kind = [~virtual, virtual]

    def exists(self):
        """The function has the queue that is shown."""
        return Cat(is_kind & below(self._queue, len(sizes))
                   for is_kind, sizes in zip(self._is_kind, self._kinds, strict=True)).any()

    def of(self, m: Module, name: str, value: Callable[[int], int]) -> Signal:
        """What *value* says of the entries of the queue that is shown; zero if it does not exist."""
        found = Signal(16, name=name)
        for is_kind, sizes in zip(self._is_kind, self._kinds, strict=True):
            with m.If(is_kind), m.Switch(self._queue):
                for size in sorted(set(sizes)):
                    with m.Case(*(i for i, other in enumerate(sizes) if other == size)):
                        m.d.comb += found.eq(value(size))
        return found
