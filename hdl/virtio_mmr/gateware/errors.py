"""Counts what was refused or dropped, and turns it into error events.

Specification: PCI Express Base 5.0, 6.2.3 (errors of the transaction layer, role-based reporting).
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .access.interface import Outcome


class ErrorReporter(wiring.Component):
    """Five counters that wrap, the sticky-bit events and the error pulses.

    Members
    -------
    dropped : In(4)
        A posted packet, or a packet of no use, ended: bit by `Outcome`.
    refused : In(1)
        A non-posted request is answered "unsupported"; with ``poisoned`` because its payload is.
    poisoned : In(1)
    hole : In(1)
        An access found no window.
    count_malformed, count_poisoned, count_unsupported, count_unexpected, count_hole : Out(16)
    detected_parity_error, correctable_detected, nonfatal_detected, fatal_detected, unsupported_detected : Out(1)
        Events for configuration space: for a refusal in the clock of its cause, for a drop one clock later.
    error_correctable, error_nonfatal, error_fatal : Out(1)
        The same, another clock later, for the outside.
    """

    dropped: In(4)
    refused: In(1)
    poisoned: In(1)
    hole: In(1)
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
        refused_poisoned, refused_plain = Signal(), Signal()
        late_poisoned, late_plain, late_hole = Signal(), Signal(), Signal()
        m.d.comb += [
            refused_poisoned.eq(self.refused & self.poisoned),
            refused_plain.eq(self.refused & ~self.poisoned),
            self.detected_parity_error.eq(poisoned | refused_poisoned),
            self.correctable_detected.eq(self.refused | unexpected),
            self.nonfatal_detected.eq(poisoned | unsupported),
            self.fatal_detected.eq(malformed),
            self.unsupported_detected.eq(unsupported | self.refused),
        ]
        m.d.sync += [
            self.count_malformed.eq(self.count_malformed + malformed),
            late_poisoned.eq(refused_poisoned),
            late_plain.eq(refused_plain),
            late_hole.eq(self.hole),
            self.count_poisoned.eq(self.count_poisoned + (poisoned + late_poisoned)),
            self.count_unsupported.eq(self.count_unsupported + (unsupported + late_plain)),
            self.count_unexpected.eq(self.count_unexpected + unexpected),
            self.count_hole.eq(self.count_hole + late_hole),
            self.error_correctable.eq(self.correctable_detected),
            self.error_nonfatal.eq(self.nonfatal_detected),
            self.error_fatal.eq(self.fatal_detected),
        ]
        return m
