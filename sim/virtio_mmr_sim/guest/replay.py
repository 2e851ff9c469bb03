"""Does to a design what a guest has done, without the guest, and says where it answers otherwise than then.

What is expected is what this design answered when the guest was recorded: that finds changes, not mistakes that it had
already. The device behind the back-end boundary only acknowledges resets, so nothing is used and no interrupt comes:
interrupts in the recording are passed over, and registers that tell of them are not compared. Of what the client asks
only accesses are recorded, neither resets nor where interrupts are to go.
"""

from collections.abc import Sequence

from .designs import Show
from .record import Event, accesses
from .session import Session
from .trace import Decoder, Step

#: Of what these registers hold nothing is known without the guest.
_DYNAMIC = ("isr_status", "isr.isr", "config.status")


def differences(device: str, show: Show, events: Sequence[Event]) -> list[str]:
    """One line for each read that was answered otherwise than in the recording."""
    found = []
    with Session(device, lambda number: None) as session:
        machine = session.show(show)
        steps = Decoder(session.config, show).steps(list(accesses(events)))
        for number, (access, step) in enumerate(zip(accesses(events), steps, strict=True)):
            if access.write:
                machine.shown.region_write(access.region, access.offset, access.value.to_bytes(access.size, "little"))
            else:
                data = machine.shown.region_read(access.region, access.offset, access.size)
                value = int.from_bytes(data, "little")
                if value != access.value and not is_dynamic(step):
                    found.append(f"access {number}: {step}, but {value:#x} was read")
            session.bridge.settle()
    return found


def is_dynamic(step: Step) -> bool:
    """Whether what is read depends on more than on what was written."""
    return any(step.name.endswith(name) for name in _DYNAMIC)
