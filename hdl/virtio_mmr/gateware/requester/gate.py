"""What the requester asks about a function before a packet of that function may leave, and who answers.

Specification: PCI Express Base 5.0, 7.5.1.1.3 (Bus Master Enable); virtio 1.4, 2.1 and 3.1.1 (no device uses
buffers before DRIVER_OK) and 2.4 (reset); legacy drivers may start a queue before that.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.spec.status import Status


class Gate(wiring.Signature):
    """A question and its answer, one clock later.

    The requester shows a function and keeps it; from the next clock on it looks at the answer, in the very
    clock in which a tag is given or a posted packet is queued. What is not let through ends as "blocked".

    Members
    -------
    function : Out(8)
    may_request : In(1)
        The function may reach memory: bus master, D0, its gate, and whatever else its owner knows.
    epoch : In(2)
        Present reset epoch of the function; a request of another one is not let through.
    requester : In(16)
        Requester id of the function: bus, device and function number, or bus and function number with ARI.
    """

    def __init__(self) -> None:
        super().__init__({"function": Out(8), "may_request": In(1), "epoch": In(2), "requester": In(16)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gate)


def _permits(row, *, modern: bool):
    """Whether a function's row lets it reach memory, if configuration space does.

    That is while the gate of its control page is open and it has no reason to stop (BADSTATE), no reset of it waits for
    the back end, and its driver is there: DRIVER_OK is set, or a legacy driver has given a page to a queue.
    """
    started = row.queue_by_page.any() if modern else row.queue_page_bytes.any()
    alive = started | row.status[Status.DRIVER_OK.bit_length() - 1]
    return row.gate & (row.badstate == 0) & ~row.reset_outstanding & alive


class FunctionGate(wiring.Component):
    """Answers for the one function of an endpoint, from its row.

    An answer is that of the row before this clock's access. So a request may be queued in the clock of the access
    that closes the gate and in the one after it, and not later.

    Parameters
    ----------
    row
        `function_row` of the function.
    modern
        It is that of a build with a modern interface.
    gates
        Number of those who ask.

    Members
    -------
    row : In(row)
    bus_master : In(1)
        Bus mastering is enabled in D0.
    requester : In(16)
    gates : In(Gate()).array(gates)
    """

    def __init__(self, row: data.StructLayout, *, modern: bool, gates: int = 2):
        self._modern = modern
        super().__init__({
            "row": In(row), "bus_master": In(1), "requester": In(16), "gates": In(Gate()).array(gates)})

    def elaborate(self, platform):
        m = Module()
        open_ = Signal()
        m.d.comb += open_.eq(self.bus_master & _permits(self.row, modern=self._modern))
        for gate in self.gates:
            m.d.sync += [
                gate.may_request.eq(open_ & (gate.function == 0)),
                gate.epoch.eq(self.row.epoch),
                gate.requester.eq(self.requester),
            ]
        return m


class SharedGate(wiring.Component):
    """Answers for many functions, from what their rows became when they were last shown.

    An answer is that of the row behind this clock's access. Whoever asks for a function that does not exist hears that
    it may not.

    Parameters
    ----------
    row
        `function_row` of a function.
    functions
        Number of functions.
    modern, gates
        See `FunctionGate`.

    Members
    -------
    function : In(8), row : In(row)
        What the row of this function becomes in this clock.
    bus_master, virtual_open : In(1)
        Bus mastering of the physical function is enabled in D0; it is in D0, and virtual functions are enabled.
    bus : In(8)
    gates : In(Gate()).array(gates)
    """

    def __init__(self, row: data.StructLayout, functions: int, *, modern: bool, gates: int = 2):
        self._functions = functions
        self._modern = modern
        super().__init__({
            "function": In(8), "row": In(row), "bus_master": In(1), "virtual_open": In(1), "bus": In(8),
            "gates": In(Gate()).array(gates)})

    def elaborate(self, platform):
        m = Module()
        row = self.row
        permit = data.StructLayout({"own": 1, "bus_master": 1, "epoch": 2})
        # What changed in this clock, in the one before and in the one before that; only then is it in the RAM.
        now, before, stored = (Signal(data.StructLayout({"function": 8, "permit": permit}), name=name)
                               for name in ("now", "before", "stored"))
        m.d.comb += [
            now.function.eq(self.function),
            now.permit.own.eq(_permits(row, modern=self._modern)),
            now.permit.bus_master.eq(row.configuration.bus_master),
            now.permit.epoch.eq(row.epoch),
        ]
        m.d.sync += [before.eq(now), stored.eq(before)]
        for number, gate in enumerate(self.gates):
            m.submodules[f"permits_{number}"] = permits = memory.Memory(
                shape=permit, depth=self._functions, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
            read, write = permits.read_port(), permits.write_port()
            m.d.comb += [
                read.addr.eq(gate.function),
                write.addr.eq(before.function),
                write.data.eq(before.permit),
                write.en.eq(1),
            ]
            asked, physical_open, virtual_open = Signal(8), Signal(), Signal()
            m.d.sync += [
                asked.eq(gate.function),
                physical_open.eq(self.bus_master),
                virtual_open.eq(self.virtual_open),
                gate.requester.eq(Cat(gate.function, self.bus)),
            ]
            answer = Signal(permit)
            m.d.comb += answer.eq(read.data)
            for change in (stored, before):
                with m.If(change.function == asked):
                    m.d.comb += answer.eq(change.permit)
            m.d.comb += [
                gate.may_request.eq(answer.own & below(asked, self._functions)
                                    & Mux(asked == 0, physical_open, answer.bus_master & virtual_open)),
                gate.epoch.eq(answer.epoch),
            ]
        return m
