"""A component with free inputs, and what shall hold of it."""

from collections.abc import Iterable

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, ClockDomain, Cover, Elaboratable, Fragment, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Harness(Elaboratable):
    """A module around the component under proof.

    Its clock domain has no reset unless ``with_reset``; then `reset` is an input that may be high in any
    clock. Registers start at their initial values in a bounded proof, anywhere in an induction step.

    Attributes
    ----------
    m : Module
        To add what the methods do not cover.
    reset : Signal or None
    """

    def __init__(self, *, with_reset: bool = False):
        self.m = Module()
        self.domain = ClockDomain("sync", reset_less=not with_reset, local=True)
        self.m.domains += self.domain
        self.reset = self.domain.rst
        self._names: set[str] = set()
        # What must not depend on where it is written down, such as inside an `If`.
        self.m.submodules.helpers = self._helpers = Module()

    def elaborate(self, platform):
        return self.m

    def _name(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def free(self, shape, name: str) -> Signal:
        """A signal that may take any value in any clock."""
        signal = Signal(shape, name=self._name(name))
        self._helpers.d.comb += Value.cast(signal).eq(AnySeq(len(Value.cast(signal))))
        return signal

    def constant(self, shape, name: str) -> Signal:
        """A signal that keeps one value, whichever it is."""
        signal = Signal(shape, name=self._name(name))
        self._helpers.d.comb += Value.cast(signal).eq(AnyConst(len(Value.cast(signal))))
        return signal

    def add(self, component: wiring.Component, name: str = "dut", *, driven: Iterable[str] = ()):
        """Add *component*; its inputs are free, but for the members in *driven*, which the caller drives.

        A member counts with everything below it: ``driven={"request"}`` leaves the whole stream alone. The component
        is elaborated at once, so that the private attributes by which it shows its state can be used.
        """
        self.m.submodules[name] = Fragment.get(component, None)
        left = set(driven)
        for path, member, value in component.signature.flatten(component):
            if str(path[0]) in left:
                continue
            if member.flow is In and not isinstance(value, int):
                if not isinstance(Value.cast(value), Signal):
                    continue
                free = self.free(len(Value.cast(value)), "_".join(map(str, (name, *path))))
                self.m.d.comb += Value.cast(value).eq(free)
        return component

    def past(self, value, name: str = "past") -> Signal:
        """*value* one clock ago; zero in the first clock."""
        shape = value.shape()
        signal = Signal(shape, name=self._name(name), reset_less=True)
        self._helpers.d.sync += signal.eq(value)
        return signal

    def started(self) -> Signal:
        """High in every clock but the first."""
        signal = Signal(name=self._name("started"), reset_less=True)
        self._helpers.d.sync += signal.eq(1)
        return signal

    def assume(self, condition) -> None:
        """Only what fulfils *condition* in every clock is looked at."""
        self.m.d.comb += Assume(condition)

    def check(self, condition) -> None:
        """*condition* must hold in every clock; a failure names the caller's line."""
        self.m.d.comb += Assert(condition, src_loc_at=1)

    def cover(self, condition) -> None:
        """*condition* must be reachable, or the proof is about nothing."""
        self.m.d.comb += Cover(condition, src_loc_at=1)
