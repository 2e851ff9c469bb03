"""The list of proofs: a function that builds a harness becomes a test, and a row of docs/proofs.md."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.formal import Engine, Harness, Mode, prove


@dataclass(frozen=True)
class Proof:
    """One row of the page."""

    #: What holds, as a sentence.
    claim: str
    block: str
    mode: Mode
    depth: int
    engine: Engine
    #: Clocks within which every cover is reached; 0 if the proof covers nothing.
    cover: int
    #: The least run that takes it: quick, broad or full.
    stage: str
    #: Test function and its module.
    test: str
    module: str
    build: Callable[..., Harness]

    def run(self, **parameters) -> str:
        """Prove and cover, side by side; the text says what went wrong, and is empty if nothing did."""
        with ThreadPoolExecutor(2) as pool:
            questions = {"proof": pool.submit(self._ask, self.mode, self.depth, parameters)}
            if self.cover:
                questions["cover"] = pool.submit(self._ask, Mode.COVER, self.cover, parameters)
            results = {name: question.result() for name, question in questions.items()}
        return "\n".join(f"{name}: {result.explain()}" for name, result in results.items() if not result.passed)

    def _ask(self, mode, depth, parameters):
        return prove(self.build(**parameters), mode=mode, depth=depth, engine=self.engine, name=self.test)


#: Every proof, in the order of definition; complete once all modules of this folder have been imported.
PROOFS: list[Proof] = []


def proof(claim: str, *, block: str, mode: Mode = Mode.INDUCTION, depth: int, cover: int = 0,
          engine: Engine = Engine.YICES, stage: str = "quick"):
    """Decorator: the function builds the harness; the test fails with the trace's place if the proof does."""

    def make(build):
        entry = Proof(claim, block, mode, depth, engine, cover, stage, build.__name__, build.__module__, build)
        PROOFS.append(entry)

        @functools.wraps(build)
        def test(**parameters):
            toolchain.skip_or_fail("sby", "yosys", "yices-smt2", "boolector")
            if wrong := entry.run(**parameters):
                pytest.fail(wrong, pytrace=False)

        return test if stage == "quick" else getattr(pytest.mark, stage)(test)

    return make
