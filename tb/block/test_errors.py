"""Every outcome is counted once, sets its sticky bits in time and gives its pulse."""

import random
from collections import Counter

import pytest
from block.simulation import simulate
from virtio_mmr.gateware.access.interface import Outcome
from virtio_mmr.gateware.errors import ErrorReporter
from virtio_mmr.gateware.state.virtual import DEVICE_ERRORS, STATUS_ERRORS

COUNTERS = ("malformed", "poisoned", "unsupported", "unexpected", "hole")

#: What happens, the counter that moves, the sticky bits, the pulse.
CAUSES = {
    "malformed": ("malformed", {"fatal_detected"}, "error_fatal"),
    "poisoned posted": ("poisoned", {"detected_parity_error", "nonfatal_detected"}, "error_nonfatal"),
    "unsupported posted": ("unsupported", {"unsupported_detected", "nonfatal_detected"}, "error_nonfatal"),
    "unexpected": ("unexpected", {"correctable_detected"}, "error_correctable"),
    "refused": ("unsupported", {"unsupported_detected", "correctable_detected"}, "error_correctable"),
    "refused poisoned": (
        "poisoned", {"detected_parity_error", "unsupported_detected", "correctable_detected"}, "error_correctable"),
    "discarded": ("poisoned", {"detected_parity_error", "nonfatal_detected"}, "error_nonfatal"),
    "hole": ("hole", set(), None),
}
BITS = {"malformed": Outcome.MALFORMED, "poisoned posted": Outcome.POISONED, "unsupported posted": Outcome.UNSUPPORTED,
        "unexpected": Outcome.UNEXPECTED}
STICKY = ("detected_parity_error", "correctable_detected", "nonfatal_detected", "fatal_detected",
          "unsupported_detected")
PULSES = ("error_correctable", "error_nonfatal", "error_fatal")

#: Causes that are operations: they have a function, and their bits are set in their clock.
OPERATIONS = ("refused", "refused poisoned", "discarded", "hole")


def operate(ctx, dut, cause):
    """The operation of this clock, if *cause* is one."""
    ctx.set(dut.refused, cause in ("refused", "refused poisoned"))
    ctx.set(dut.poisoned, cause == "refused poisoned")
    ctx.set(dut.discarded, cause == "discarded")
    ctx.set(dut.hole, cause == "hole")


def test_any_mixture_of_outcomes_is_counted_and_reported():
    rng = random.Random(1)
    dut = ErrorReporter()
    counted = Counter()

    async def play(ctx):
        for _ in range(40):
            for clock in range(40):
                # In one clock at most one packet ends without an access, and at most one access is answered.
                ends = rng.choice([None, None, *BITS]) if clock < 36 else None
                answers = rng.choice([None, None, *OPERATIONS]) if clock < 36 else None
                ctx.set(dut.dropped, 1 << BITS[ends] if ends else 0)
                operate(ctx, dut, answers)
                ctx.set(dut.poisoned, answers == "refused poisoned" or (answers is None and rng.random() < 0.5))
                ctx.set(dut.virtual, rng.getrandbits(1))
                await ctx.tick()
                counted.update(CAUSES[cause][0] for cause in (ends, answers) if cause)
            assert [ctx.get(getattr(dut, f"count_{name}")) for name in COUNTERS] == [
                counted[name] for name in COUNTERS]

    simulate(dut, play)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_sets_its_bits_and_gives_its_pulse_once_and_soon(cause):
    dut = ErrorReporter()
    seen = []

    async def play(ctx):
        for clock in range(6):
            now = clock == 1
            ctx.set(dut.dropped, 1 << BITS[cause] if now and cause in BITS else 0)
            operate(ctx, dut, cause if now else None)
            _, _, *values = await ctx.tick().sample(*(getattr(dut, name) for name in (*STICKY, *PULSES)))
            seen.append(values)

    simulate(dut, play)
    _, sticky, pulse = CAUSES[cause]
    clocks = {name: [clock for clock, values in enumerate(seen) if values[index]]
              for index, name in enumerate((*STICKY, *PULSES))}
    assert {name for name in STICKY if clocks[name]} == sticky
    assert {name for name in PULSES if clocks[name]} == ({pulse} if pulse else set())
    # The next access may read the status: an operation shows at once, a drop before an access can follow it.
    latest = 1 if cause in OPERATIONS else 2
    assert all(len(clocks[name]) == 1 and clocks[name][0] <= latest for name in sticky)
    assert not pulse or clocks[pulse] in ([2], [3])


def test_poison_is_logged_by_the_function_that_it_was_aimed_at_and_all_else_by_the_physical_one():
    rng = random.Random(2)
    dut = ErrorReporter()
    played, seen = [], []

    async def play(ctx):
        for _ in range(3000):
            drop = rng.choice([None, *BITS])
            operation, virtual = rng.choice([None, *OPERATIONS]), rng.getrandbits(1)
            played.append((drop, operation, virtual))
            ctx.set(dut.dropped, 1 << BITS[drop] if drop else 0)
            operate(ctx, dut, operation)
            ctx.set(dut.virtual, virtual)
            _, _, errors, *values = await ctx.tick().sample(
                dut.virtual_errors, *(getattr(dut, name) for name in (*STICKY, *PULSES)))
            sets = {name for names, bits in ((STATUS_ERRORS, errors.status_errors),
                                             (DEVICE_ERRORS, errors.device_errors))
                    for index, name in enumerate(names) if bits >> index & 1}
            named = dict(zip((*STICKY, *PULSES), values, strict=True))
            seen.append((sets, {name for name in STICKY if named[name]}, {name for name in PULSES if named[name]}))

    simulate(dut, play)
    before, pulses = None, set()
    for (drop, operation, virtual), found in zip(played, seen, strict=True):
        mine = set(CAUSES[before][1]) if before else set()
        theirs = set()
        if operation:
            poison = operation in ("refused poisoned", "discarded")
            (theirs if virtual and poison else mine).update(CAUSES[operation][1])
        assert found == (theirs, mine, pulses), (operation, virtual)
        pulses = {CAUSES[cause][2] for cause in (before, operation) if cause} - {None}
        before = drop


def test_counters_wrap():
    dut = ErrorReporter()

    async def play(ctx):
        for name, cause in zip(COUNTERS, (1, 2, 4, 8, 0), strict=True):
            ctx.set(getattr(dut, f"count_{name}"), 0xFFFF)
            ctx.set(dut.dropped, cause)
            ctx.set(dut.hole, name == "hole")
            await ctx.tick()
            ctx.set(dut.dropped, 0)
            ctx.set(dut.hole, 0)
            await ctx.tick().repeat(3)
            assert ctx.get(getattr(dut, f"count_{name}")) == 0

    simulate(dut, play)
