"""Counts what was refused or dropped, and turns it into error events.

Specification: PCI Express Base 5.0, 6.2.3 (errors of the transaction layer, role-based reporting).
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .access.interface import Outcome
from .state.virtual import DEVICE_ERRORS, STATUS_ERRORS, VirtualErrors


class ErrorReporter(wiring.Component):
    """Five counters that wrap, the sticky-bit events and the error pulses.

    Poison is logged by the function that the request was aimed at, everything else by the physical one: nobody knows
    for whom it was, or the function that it names serves no such request.

    Members
    -------
    dropped : In(4)
        A posted packet, or a packet of no use, ended without an operation: bit by `Outcome`.
    refused : In(1)
        The operation of this clock is answered "unsupported"; with ``poisoned`` because its payload is.
    poisoned : In(1)
    discarded : In(1)
        The operation of this clock is a posted write that is not applied, because its payload is poisoned.
    virtual : In(1)
        The operation of this clock is aimed at a virtual function that exists.
    hole : In(1)
        An access found no window.
    completion_malformed, completion_unexpected, completion_poisoned : In(1)
        An inbound completion of a device that sends requests was one of these.
    count_malformed, count_poisoned, count_unsupported, count_unexpected, count_hole : Out(16)
    detected_parity_error, correctable_detected, nonfatal_detected, fatal_detected, unsupported_detected : Out(1)
        Events for configuration space: for an operation in its clock, for a drop one clock later.
    virtual_errors : Out(VirtualErrors)
        Events for the virtual function of this clock's operation.
    error_correctable, error_nonfatal, error_fatal : Out(1)
        The same of any function, another clock later, for the outside.
    """

    dropped: In(4)
    refused: In(1)
    poisoned: In(1)
    discarded: In(1)
    virtual: In(1)
    hole: In(1)
    completion_malformed: In(1)
    completion_unexpected: In(1)
    completion_poisoned: In(1)
    count_malformed: Out(16)
    count_poisoned: Out(16)
    count_unsupported: Out(16)
    count_unexpected: Out(16)
    count_hole: Out(16)
    detected_parity_error: Out(1)
    correctable_detected: Out(1)
    nonfatal_detected: Out(1)
    fatal_detected: Out(1)
    unsupported_detected: Out(1)
    virtual_errors: Out(VirtualErrors)
    error_correctable: Out(1)
    error_nonfatal: Out(1)
    error_fatal: Out(1)

    def elaborate(self, platform):
        m = Module()
        # What was dropped may be reported a clock late: no access of the same packet follows. What was refused may
        # not, because the next access can already be a read of the status.
        dropped = Signal.like(self.dropped)
        m.d.sync += dropped.eq(self.dropped)
        malformed = dropped[Outcome.MALFORMED]
        poisoned = dropped[Outcome.POISONED]
        unsupported = dropped[Outcome.UNSUPPORTED]
        unexpected = dropped[Outcome.UNEXPECTED]
        inbound_malformed, inbound_unexpected, inbound_poisoned = Signal(), Signal(), Signal()
        m.d.sync += [
            inbound_malformed.eq(self.completion_malformed),
            inbound_unexpected.eq(self.completion_unexpected),
            inbound_poisoned.eq(self.completion_poisoned),
        ]
        refused_poisoned, refused_plain = Signal(), Signal()
        late_poisoned, late_plain, late_hole = Signal(), Signal(), Signal()
        m.d.comb += [
            refused_poisoned.eq(self.refused & self.poisoned),
            refused_plain.eq(self.refused & ~self.poisoned),
        ]
        theirs = {
            "detected_parity_error": (refused_poisoned | self.discarded) & self.virtual,
            "correctable_detected": refused_poisoned & self.virtual,
            "nonfatal_detected": self.discarded & self.virtual,
            "unsupported_detected": refused_poisoned & self.virtual,
        }
        refused_mine = self.refused & ~theirs["unsupported_detected"]
        discarded_mine = self.discarded & ~self.virtual
        m.d.comb += [
            self.detected_parity_error.eq(
                poisoned | inbound_poisoned | (refused_poisoned & ~self.virtual) | discarded_mine),
            self.correctable_detected.eq(refused_mine | unexpected | inbound_unexpected),
            self.nonfatal_detected.eq(poisoned | unsupported | inbound_poisoned | discarded_mine),
            self.fatal_detected.eq(malformed | inbound_malformed),
            self.unsupported_detected.eq(unsupported | refused_mine),
        ]
        for bits, names in ((self.virtual_errors.status_errors, STATUS_ERRORS),
                            (self.virtual_errors.device_errors, DEVICE_ERRORS)):
            m.d.comb += bits.eq(Cat(theirs.get(name, Const(0, 1)) for name in names))
        m.d.sync += [
            self.count_malformed.eq(self.count_malformed + (malformed + inbound_malformed)),
            late_poisoned.eq(refused_poisoned | self.discarded),
            late_plain.eq(refused_plain),
            late_hole.eq(self.hole),
            self.count_poisoned.eq(self.count_poisoned + (poisoned + late_poisoned + inbound_poisoned)),
            self.count_unsupported.eq(self.count_unsupported + (unsupported + late_plain)),
            self.count_unexpected.eq(self.count_unexpected + (unexpected + inbound_unexpected)),
            self.count_hole.eq(self.count_hole + late_hole),
            self.error_correctable.eq(self.correctable_detected | theirs["correctable_detected"]),
            self.error_nonfatal.eq(self.nonfatal_detected | theirs["nonfatal_detected"]),
            self.error_fatal.eq(self.fatal_detected),
        ]
        return m
