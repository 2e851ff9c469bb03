"""The state of every function, in one row each, and everything that changes it.

Specification: virtio 1.3, 2.1 (status), 2.4 (reset), 4.1.4.5 (ISR), 4.1.4.10 (legacy registers); the
control page is the project's own (`virtio_mmr.spec.control`). Windows only show a row and say what an
access touched; this is the one place where a row changes, once a clock, so that no two accesses and
no access and event can meet halfway.
"""

from dataclasses import dataclass

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.backend import ResetCause
from virtio_mmr.spec import control, legacy

from .merge import merged
from .modern import PORTS, ModernRules, modern_row
from .rows import RowStore
from .virtual import VirtualConfigChange, VirtualConfigState, VirtualErrors, applied


class EventKind(Enum, shape=unsigned(4)):
    """What the back end, or the core itself, does to a row in a clock without an access."""

    NONE = 0
    #: Return the row to its reset values.
    INITIALISE = 1
    INTERRUPT = 2
    FAULT = 3
    #: The configuration image changes in this clock.
    UPDATE = 4
    RESET_DONE = 5
    #: Tell the back end what is pending.
    REPORT = 6
    #: The back end has let go of a queue.
    QUIET = 7
    #: Virtual functions are disabled: a reset of this one.
    VANISH = 8
    #: A vector becomes pending; a group of vectors is looked at; a vector's message leaves.
    PEND = 9
    VISIT = 10
    SEND = 11
    #: Hard IP has a new state of the function's configuration space.
    CONTROL = 12


class Event(data.Struct):
    """An event and what it carries."""

    kind: EventKind
    function: unsigned(8)
    epoch: unsigned(2)
    #: INTERRUPT: 1 for a configuration change. FAULT: the cause. CONTROL: bits of a `FunctionChange`, from `reset` on.
    value: unsigned(4)
    #: INTERRUPT, REPORT, QUIET: the queue. PEND, VISIT, SEND: the vector, or one of its group.
    queue: unsigned(16)


class Reported(data.Struct):
    """What a REPORT took over for delivery; clears the row's flag."""

    reset: unsigned(1)
    driver_ok: unsigned(1)
    features: unsigned(1)
    gate: unsigned(1)
    queue: unsigned(1)
    notification: unsigned(1)


def function_row(queues: int, *, modern: bool = False, several: bool = False) -> data.StructLayout:
    """One function's state.

    ``needs_reset`` is bit 6 of the status byte. ``queue_page_bytes`` has four bits a queue, one for each byte of
    its page that is not zero, and ``queue_vector_valid`` one for a vector that was written: so the queue
    table's rows need no reset, and a queue is enabled if any of its four bits is set. With a *modern*
    interface there are the fields of `modern_row` instead. ``configuration`` is of use to virtual functions; it is
    there if there are *several* functions, and so is ``generation_moves``: one is still to be added to the generation.
    """
    queue_pages = modern_row(queues) if modern else {"queue_page_bytes": unsigned(4 * queues)}
    return data.StructLayout({
        "status": unsigned(8),
        "isr": unsigned(2),
        "driver_features": unsigned(32),
        "queue_select": unsigned(16),
        "config_vector": unsigned(16),
        "judged": unsigned(1),
        "epoch": unsigned(2),
        "reset_outstanding": unsigned(1),
        "reset_unsent": unsigned(1),
        "reset_cause": ResetCause,
        "tell_driver_ok": unsigned(1),
        "tell_features": unsigned(1),
        "tell_gate": unsigned(1),
        **queue_pages,
        "queue_vector_valid": unsigned(queues),
        "tell_queue": unsigned(queues),
        "notified": unsigned(queues),
        "big_endian": unsigned(1),
        "gate": unsigned(1),
        "badstate": unsigned(9),
        "required": unsigned(32),
        "forbidden": unsigned(32),
        "generation": unsigned(32),
        **({"configuration": VirtualConfigState, "generation_moves": unsigned(1)} if several else {}),
    })


@dataclass(frozen=True, kw_only=True)
class FunctionOptions:
    """What a build fixes for a function."""

    queues: int
    #: Feature bits 31:0.
    offered: int
    #: Entries of the MSI-X table.
    vectors: int = 0
    #: There is a control page; without it its state is constant.
    control_page: bool
    #: Options of the control page.
    big_endian: bool = False
    gate_open: bool = False
    #: Feature bits that a modern driver is shown; None builds no modern interface.
    modern: int | None = None
    #: Bytes between the notification addresses of the modern interface.
    stride: int = 0

    @property
    def opens(self) -> bool:
        """The gate's value after reset."""
        return self.gate_open or not self.control_page


#: What the view of several functions shows a clock late, and what else where rows of queues are late.
LATE, LATE_OF_QUEUES = ("function_generation",), ("queue_page", "queue_vector")


class FunctionState(wiring.Component):
    """Rows of functions, the view of one of them, and the effects of accesses and events.

    An access or an event concerns the function named in its clock. Reset is a fence: it clears the row in
    one clock and opens a new epoch; the back end is told and need not be waited for.

    Parameters
    ----------
    options
        Of the physical function, number 0.
    virtual
        Of each virtual function; None if there are none.
    functions
        Number of functions. The row of a single one is shown at any time; rows of several have to be looked up.

    Members
    -------
    access : In(1)
        An access happens; `touch` says to what.
    function : In(8)
    look : In(8)
        With several functions: what `function` will be two clocks later.
    event_ahead : In(Event), eventful_ahead : In(1)
        With several functions: the next clock's event; there is one, perhaps of kind NONE.
    reset_ahead : In(1)
        With several functions: the next clock brings `flr`, or the reset of `config_change`.
    data_ahead : In(32)
        With several functions and without a modern interface: what the next clock's access writes, if it does.
    queue_ahead, config_vector_ahead : Out(16)
        With several functions: the queue that the next clock's event names, or else what `queue_select` will be then;
        and what the row's `config_vector` will be, of no meaning if that is no vector.
    queue_fetch : Out(16).array(2), queue_second : Out(1)
        The same as `queue_ahead`, earlier in the clock and as if it brought no reset: it is one of two, the first of
        which stands in the row's memory; and which.
    touch : In(touch), view : Out(view)
        See `windows.register`.
    event : In(Event)
        Never together with an access.
    flr, msix_toggled : In(1)
        Effects of this clock's access to the physical function's configuration space.
    config_change : In(VirtualConfigChange), errors : In(VirtualErrors)
        With several functions: the effects of one to a virtual function's, and what was wrong with its request.
    driver_wrote : In(1)
        This clock's access changes device configuration.
    queue_exists : In(1), queue_size : In(16), queue_page : In(32), queue_vector : In(16)
        The queue that the row selects.
    queue_page_bytes : Out(4)
        Bytes of its page that are not zero.
    write_page : Out(4), new_page : Out(32), write_vector : Out(1), new_vector : Out(16)
        Change it. With several functions and without a modern interface a queue's row is a clock late: `queue_page`,
        `queue_vector`, what `view` shows of them (`LATE_OF_QUEUES`), `write_vector` and `new_vector` are of the clock
        before.
    queue_select : Out(16)
        Selected queue of the function.
    scan : In(16)
        Queue that a REPORT looks at.
    reported : In(Reported)
        What this clock's REPORT took.
    row, new : Out(function_row(queues))
        The function's row, and as this clock leaves it.
    restore : Out(1)
        Device configuration returns to its initial values.
    fenced : Out(1)
        A reset begins: interrupts of before are forgotten.
    cause : Out(2)
        Reasons to interrupt the driver, as bits of the ISR: bit 0 for a queue, bit 1 for the configuration.
    gate_opens : Out(1)
        The hypervisor opens the function's gate.
    modern.PORTS
        With a modern interface.
    """

    def __init__(self, view: data.StructLayout, touch: data.StructLayout, options: FunctionOptions, *,
                 virtual: FunctionOptions | None = None, functions: int = 1):
        self._kinds = (options, virtual or options)
        self._functions = functions
        self._modern = any(kind.modern is not None for kind in self._kinds)
        self._queues = max(kind.queues for kind in self._kinds)
        self._row = function_row(self._queues, modern=self._modern, several=functions > 1)
        super().__init__({
            "access": In(1),
            "function": In(8),
            **({"look": In(8), "event_ahead": In(Event), "eventful_ahead": In(1), "queue_ahead": Out(16),
                "queue_fetch": Out(16).array(2), "queue_second": Out(1), "config_vector_ahead": Out(16),
                "reset_ahead": In(1), "config_change": In(VirtualConfigChange),
                "errors": In(VirtualErrors)} if functions > 1 else {}),
            "touch": In(touch),
            "view": Out(view),
            "event": In(Event),
            "flr": In(1),
            "msix_toggled": In(1),
            "driver_wrote": In(1),
            "queue_exists": In(1),
            "queue_size": In(16),
            "queue_page": In(32),
            "queue_vector": In(16),
            "queue_page_bytes": Out(4),
            "write_page": Out(4),
            "new_page": Out(32),
            "write_vector": Out(1),
            "new_vector": Out(16),
            "queue_select": Out(16),
            "scan": In(16),
            "reported": In(Reported),
            "row": Out(self._row),
            "new": Out(self._row),
            "restore": Out(1),
            "fenced": Out(1),
            "cause": Out(2),
            "gate_opens": Out(1),
            **({"data_ahead": In(32)} if functions > 1 and not self._modern else {}),
            **(PORTS if self._modern else {}),
        })

    def reset_values(self, *, virtual: bool = False) -> dict[str, int]:
        """What a row holds after reset, by field; fields not named hold zero."""
        return {"config_vector": legacy.NO_VECTOR, "gate": int(self._kinds[virtual].opens)}

    def _by_kind(self, option) -> Value:
        """An *option* of the function of this clock: constant, if both kinds of function have the same."""
        physical, virtual = (option(kind) for kind in self._kinds)
        return C(physical) if physical == virtual else Mux(self.function == 0, physical, virtual)

    def elaborate(self, platform):
        m = Module()
        cleared = Signal()
        queues = range(self._queues)
        row, new = self.row, self.new
        if self._functions == 1:
            m.submodules.rows = rows = memory.Memory(shape=self._row, depth=1, init=[self.reset_values()])
            read, write = rows.read_port(domain="comb"), rows.write_port()
            m.d.comb += [row.eq(read.data), write.data.eq(new), write.en.eq(1)]
        else:
            m.submodules.rows = self._rows = rows = RowStore(self._row, self._functions, latency=2, late_bits=0)
            m.d.comb += [
                rows.look.eq(self.look),
                row.eq(rows.row),
                rows.new.eq(new),
                rows.change.eq(1),
            ]
            # The RAM's answer is late and another one follows from it: so nothing is between them, what may be named
            # instead is asked for beside it, and a reset, which is late, too, is left out.
            named, instead = Signal(), Signal(16, attrs={"keep": 1})
            as_if_kept = Mux(named, instead, rows.stored.queue_select)
            ahead, select = self.event_ahead, self.touch.function_queue_select
            m.d.comb += [
                named.eq(self.eventful_ahead | rows.overtaken | rows.handed),
                instead.eq(Mux(self.eventful_ahead, ahead.queue, Mux(
                    rows.overtaken, merged(row.queue_select, select.data, select.write),
                    rows.handed_on.queue_select))),
                self.queue_fetch[0].eq(rows.stored.queue_select),
                self.queue_fetch[1].eq(instead),
                self.queue_second.eq(named),
                self.queue_ahead.eq(Mux(rows.overtaken & cleared & ~self.eventful_ahead, 0, as_if_kept)),
            ]
            # It comes early in the clock, because a write of no vector and a reset are left out.
            written = self.touch.function_config_vector
            m.d.comb += self.config_vector_ahead.eq(merged(
                rows.unchanged.config_vector, written.data, Mux(rows.overtaken, written.write, 0)))
        m.d.comb += [new.eq(row), self.queue_select.eq(row.queue_select)]
        flr, msix_toggled, vanishes, whole = self.flr, self.msix_toggled, C(0), Signal()
        initialises = self.event.kind == EventKind.INITIALISE
        if self._functions > 1:
            # Nearly everything follows from these.
            initialises, vanishes = Signal(), Signal()
            comes = ahead.kind == EventKind.INITIALISE, ahead.kind == EventKind.VANISH
            m.d.sync += [
                *(now.eq(one) for now, one in zip((initialises, vanishes), comes, strict=True)),
                whole.eq(Cat(self.reset_ahead, *comes).any()),
            ]
            m.d.comb += new.configuration.eq(applied(row.configuration, self.config_change, self.errors))
            flr |= self.config_change.reset
            msix_toggled |= row.configuration.msix_enable ^ new.configuration.msix_enable
        touch, event = self.touch, Signal(Event)
        m.d.comb += event.eq(self.event)

        # --- The selected queue ---------------------------------------------------------------------------
        index = self.queue_select
        selected = [Signal(name=f"selects_{i}") for i in queues]
        for i in queues:
            m.d.comb += selected[i].eq(index == i)
        has_page = self._by_kind(lambda kind: int(kind.control_page))
        any_page = any(kind.control_page for kind in self._kinds)
        any_big_endian = any(kind.big_endian for kind in self._kinds)
        hidden = row.forbidden if any_page else C(0, 32)
        modern = None
        if self._modern:
            modern = ModernRules(
                m, self, new, selected, hidden=hidden, offered=self._by_kind(lambda kind: kind.modern or 0),
                stride=self._by_kind(lambda kind: kind.stride), queues=self._by_kind(lambda kind: kind.queues))
            enabled = modern.running
        else:
            page_bytes = [row.queue_page_bytes[4 * i:4 * i + 4] for i in queues]
            enabled = [Signal(name=f"enabled_{i}") for i in queues]
            for i in queues:
                m.d.comb += enabled[i].eq(page_bytes[i].any())
                with m.If(selected[i]):
                    m.d.comb += self.queue_page_bytes.eq(page_bytes[i])
        has_vector = (Cat(selected) & row.queue_vector_valid).any()
        # What a late row of a queue meets: the same clock's state and access.
        exists, is_physical, vector_write = self.queue_exists, self.function == 0, touch.queue_vector
        if self._functions > 1 and not self._modern:
            now = (has_vector, exists, is_physical, vector_write)
            late = tuple(Signal.like(value) for value in now)
            m.d.sync += [later.eq(value) for later, value in zip(late, now, strict=True)]
            has_vector, exists, is_physical, vector_write = late
        vector = Mux(has_vector, self.queue_vector, legacy.NO_VECTOR)

        generation = row.generation
        if self._functions > 1:
            # What moves it is known late in a clock, so it is added by whatever comes next.
            moved, generation = row.generation + row.generation_moves, Signal(32)
            m.d.sync += generation.eq(moved)

        # --- What the windows show ------------------------------------------------------------------------
        offered = self._by_kind(lambda kind: kind.offered)
        shown = {
            "device_features": offered & ~hidden,
            "function_driver_features": row.driver_features,
            "queue_page": Mux(exists, self.queue_page, 0),
            "queue_size": self.queue_size,
            "function_queue_select": row.queue_select,
            "function_status": row.status,
            "function_isr": row.isr,
            "function_config_vector": row.config_vector,
            "queue_vector": vector,
            "build_supported": sum(control.Supported),
            "function_big_endian": row.big_endian,
            "build_big_endian": self._by_kind(lambda kind: int(kind.big_endian)),
            "function_generation": generation,
            "function_badstate": row.badstate,
            "function_required": row.required,
            "function_forbidden": row.forbidden,
            "function_gate": row.gate,
            **(modern.shown() if modern else {}),
        }
        for name in self.view.shape().members:
            m.d.comb += self.view[name].eq(shown[name])

        # --- Accesses -------------------------------------------------------------------------------------
        # Reasons to stop, by their bit of BADSTATE.
        policy, faulty, rejected = Signal(), Signal(3), Signal()
        stopped = Cat(policy, faulty, C(0, 4), rejected)
        fence, cause = Signal(), Signal(ResetCause)
        generation_moves = Signal()

        # What is written to the status byte and to the notify register is compared a clock ahead, where that can be.
        early = self._functions > 1 and not self._modern
        status_data, kick_data, domain = touch.function_status.data, touch.kick.data, m.d.comb
        if early:
            status_data, kick_data, domain = self.data_ahead[16:24], self.data_ahead[:16], m.d.sync
        zero, high_clear, named = Signal(), Signal(), Signal(len(queues))
        domain += [
            zero.eq(status_data == 0),
            high_clear.eq(kick_data[8:] == 0),
            named.eq(Cat(kick_data[:8] == i for i in queues)),
        ]
        status_written = touch.function_status.write[0]
        status_reset = status_written & zero
        driver_ok = status_written & touch.function_status.data[2]
        idle = row.status == 0

        with m.If(touch.function_driver_features.write.any() & ~row.status[3]):
            value = merged(row.driver_features, touch.function_driver_features.data,
                           touch.function_driver_features.write)
            m.d.comb += [new.driver_features.eq(value & offered & ~hidden), new.tell_features.eq(1)]
            if any_page:
                said = Cat(touch.function_driver_features.write[i].replicate(8) for i in range(4))
                with m.If((touch.function_driver_features.data & said & row.forbidden).any()):
                    m.d.comb += policy.eq(1)

        with m.If(touch.function_queue_select.write.any()):
            m.d.comb += new.queue_select.eq(
                merged(row.queue_select, touch.function_queue_select.data, touch.function_queue_select.write))

        if modern:
            with m.If(modern.write_features(hidden)):
                m.d.comb += policy.eq(1)
            modern.write_page()
            modern.write_queue()
        else:
            strobes = touch.queue_page.write
            filled = Signal(4)
            m.d.comb += [
                self.new_page.eq(touch.queue_page.data),
                filled.eq(Cat(Mux(strobes[i], touch.queue_page.data[8 * i:8 * i + 8].any(), self.queue_page_bytes[i])
                              for i in range(4))),
            ]
            with m.If(strobes.any() & self.queue_exists):
                m.d.comb += self.write_page.eq(strobes)
                for i in queues:
                    with m.If(selected[i]):
                        m.d.comb += [
                            new.queue_page_bytes[4 * i:4 * i + 4].eq(filled),
                            new.tell_queue[i].eq(filled.any() | enabled[i] | row.tell_queue[i]),
                        ]
                        with m.If(filled == 0):
                            m.d.comb += new.notified[i].eq(0)

        if any(kind.vectors for kind in self._kinds):
            def fits(old, write, value, vectors):
                # What was there before is a vector or NO_VECTOR, and the highest bit says which: the rest of a kept
                # byte needs no look, for it comes late in the clock.
                if vectors < 256:
                    in_range = below(write.data[:8], vectors), ~write.data[8:].any()
                    return Cat(Mux(write.write[i], byte, ~old[15]) for i, byte in enumerate(in_range)).all()
                bits = (vectors - 1).bit_length()
                above = [range(max(bits, start), start + 8) for start in (0, 8)]
                clear = Cat(Mux(write.write[i], ~Cat(write.data[bit] for bit in places).any(), ~old[15])
                            for i, places in enumerate(above) if places)
                return clear.all() & below(value[:bits], vectors)

            def legal(old, write, is_physical):
                value = merged(old, write.data, write.write)
                physical, virtual = (fits(old, write, value, kind.vectors) for kind in self._kinds)
                same = self._kinds[0].vectors == self._kinds[1].vectors
                return Mux(physical if same else Mux(is_physical, physical, virtual), value, legacy.NO_VECTOR)

            with m.If(touch.function_config_vector.write.any()):
                m.d.comb += new.config_vector.eq(
                    legal(row.config_vector, touch.function_config_vector, self.function == 0))
            with m.If(vector_write.write.any() & exists):
                m.d.comb += [
                    self.new_vector.eq(legal(vector, vector_write, is_physical)), self.write_vector.eq(1)]
            with m.If(touch.queue_vector.write.any() & self.queue_exists):
                m.d.comb += new.queue_vector_valid.eq(row.queue_vector_valid | Cat(selected))

        with m.If(touch.function_isr.read[0]):
            m.d.comb += new.isr.eq(0)

        def tells(bit):
            """The driver is to be interrupted: what every such place says."""
            return [new.isr[bit].eq(1), self.cause[bit].eq(1)]

        judge = Signal()
        with m.If(status_written & ~status_reset):
            m.d.comb += new.status.eq(Cat(touch.function_status.data[:6], row.status[6], touch.function_status.data[7]))
            if modern:
                with m.If(modern.refuses_features()):
                    m.d.comb += new.status[3].eq(0)
            with m.If(driver_ok & ~row.status[2]):
                m.d.comb += [new.tell_driver_ok.eq(1), judge.eq(1)]
                with m.If(row.badstate != 0):
                    m.d.comb += [new.status[6].eq(1), *tells(1), generation_moves.eq(~row.status[6])]

        kick = touch.kick.write[0] & ~status_reset
        kicks = Cat(kick & named[i] & (high_clear | ~touch.kick.write[1]) & enabled[i] for i in queues)
        with m.If(kick):
            m.d.comb += new.notified.eq(row.notified | kicks)
        if modern:
            m.d.comb += [
                self.kick.eq(kicks.any()),
                self.kicked.eq(Cat(touch.kick.data[:8], Mux(touch.kick.write[1], touch.kick.data[8:], 0))),
            ]
        if any_page:
            with m.If(kicks.any() & ~row.judged):
                m.d.comb += judge.eq(1)
            with m.If(judge):
                m.d.comb += new.judged.eq(1)
                with m.If((row.required & ~row.driver_features).any()):
                    m.d.comb += policy.eq(1)

        # --- The control page -------------------------------------------------------------------------------
        if any_page:
            if any_big_endian:
                big_endian = self._by_kind(lambda kind: int(kind.big_endian))
                with m.If(touch.function_big_endian.write[0] & idle & big_endian):
                    m.d.comb += new.big_endian.eq(touch.function_big_endian.data)
            with m.If(idle):
                said = Cat(touch.function_badstate.write[i].replicate(8) for i in range(2))[:9]
                m.d.comb += new.badstate.eq(row.badstate & ~(touch.function_badstate.data[:9] & said))
                with m.If(touch.function_forbidden.write.any()):
                    m.d.comb += new.forbidden.eq(merged(
                        row.forbidden, touch.function_forbidden.data, touch.function_forbidden.write))
            with m.If(touch.function_required.write.any()):
                m.d.comb += new.required.eq(merged(
                    row.required, touch.function_required.data, touch.function_required.write))
            with m.If(touch.function_gate.write[0]):
                m.d.comb += [new.gate.eq(touch.function_gate.data), self.gate_opens.eq(touch.function_gate.data)]
                with m.If(touch.function_gate.data != row.gate):
                    m.d.comb += new.tell_gate.eq(1)
            with m.If(touch.reject.write[0] & touch.reject.data[0]):
                m.d.comb += rejected.eq(1)

        # --- Events -----------------------------------------------------------------------------------------
        current = (event.epoch == row.epoch) & ~row.reset_outstanding
        with m.Switch(event.kind):
            with m.Case(EventKind.INTERRUPT):
                with m.If(current & event.value[0]):
                    m.d.comb += tells(1)
                ready = modern.may_interrupt(event.queue) if modern else C(1)
                with m.If(current & ~event.value[0] & (row.badstate == 0) & ready):
                    m.d.comb += tells(0)
            with m.Case(EventKind.FAULT):
                with m.If(current):
                    m.d.comb += faulty.eq(Cat(event.value == cause for cause in (1, 2, 3)))
            with m.Case(EventKind.UPDATE):
                m.d.comb += generation_moves.eq(1)
            with m.Case(EventKind.RESET_DONE):
                with m.If(event.epoch == row.epoch):
                    m.d.comb += new.reset_outstanding.eq(0)
            with m.Case(EventKind.REPORT):
                with m.If(self.reported.reset):
                    m.d.comb += new.reset_unsent.eq(0)
                with m.If(self.reported.driver_ok):
                    m.d.comb += new.tell_driver_ok.eq(0)
                with m.If(self.reported.features):
                    m.d.comb += new.tell_features.eq(0)
                with m.If(self.reported.gate):
                    m.d.comb += new.tell_gate.eq(0)
                for i in queues:
                    here = self.scan[:(self._queues - 1).bit_length()] == i
                    with m.If(self.reported.queue & here):
                        m.d.comb += new.tell_queue[i].eq(0)
                    with m.If(self.reported.notification & here):
                        m.d.comb += new.notified[i].eq(0)
            if modern:
                with m.Case(EventKind.QUIET):
                    modern.quiet(event.queue)
        if modern:
            modern.finish_queues()
            modern.move_generation(self.driver_wrote | (event.kind == EventKind.UPDATE))

        # --- A function that must stop ------------------------------------------------------------------------
        with m.If(stopped.any()):
            m.d.comb += [fence.eq(1), cause.eq(ResetCause.BAD_STATE)]
            if any_page:
                with m.If(has_page):
                    m.d.comb += new.badstate.eq(row.badstate | stopped)
            # The status byte as this access leaves it.
            with m.If(Mux(status_written, (touch.function_status.data & 0xBF).any() | row.status[6], ~idle)):
                m.d.comb += [
                    new.status[6].eq(1),
                    *tells(1),
                    generation_moves.eq(~row.status[6]),
                ]

        # --- Reset --------------------------------------------------------------------------------------------
        if self._functions == 1:
            m.d.comb += whole.eq(flr | initialises)
        m.d.comb += cleared.eq(status_reset | whole)
        with m.If(status_reset):
            m.d.comb += [fence.eq(1), cause.eq(ResetCause.STATUS)]
        with m.If(flr):
            m.d.comb += [fence.eq(1), cause.eq(ResetCause.FLR)]
        with m.If(vanishes):
            m.d.comb += [fence.eq(1), cause.eq(ResetCause.VF_DISABLE)]
        with m.If(cleared):
            kept = ("epoch", "reset_outstanding", "reset_unsent", "reset_cause", "big_endian", "gate", "badstate",
                    "required", "forbidden", "generation", "config_generation", "config_changed", "configuration",
                    "tell_gate")
            resets = self.reset_values()
            for name in self._row.members:
                if name not in kept:
                    m.d.comb += new[name].eq(resets.get(name, 0))
        with m.If(whole):
            for name in ("big_endian", "badstate", "required", "forbidden", "config_generation", "config_changed",
                         "tell_gate"):
                if name in self._row.members:
                    m.d.comb += new[name].eq(0)
            m.d.comb += [new.gate.eq(self._by_kind(lambda kind: int(kind.opens))), self.restore.eq(1)]
            if self._functions > 1:
                m.d.comb += new.configuration.eq(0)
        m.d.comb += self.fenced.eq(fence)
        with m.If(fence):
            m.d.comb += [
                new.epoch.eq(row.epoch + ~row.reset_unsent),
                new.reset_unsent.eq(1),
                new.reset_outstanding.eq(1),
                new.reset_cause.eq(cause),
            ]

        # --- Generation -----------------------------------------------------------------------------------------
        if any_page:
            moves = (generation_moves | self.driver_wrote | msix_toggled | flr | vanishes
                     | (status_reset & row.status[6]))
            if self._functions == 1:
                with m.If(moves):
                    m.d.comb += new.generation.eq(row.generation + 1)
            else:
                m.d.comb += [new.generation.eq(moved), new.generation_moves.eq(moves)]
        with m.If(initialises):
            for name in ("epoch", "reset_outstanding", "reset_unsent", "reset_cause", "generation", "generation_moves"):
                if name in self._row.members:
                    m.d.comb += new[name].eq(0)
        return m
