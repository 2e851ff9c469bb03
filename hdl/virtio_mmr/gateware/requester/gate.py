"""What the requester asks about a function before a packet of that function may leave."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


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
