"""The golden model as a machine."""

from collections.abc import Mapping

from virtio_mmr.spec.tlp import CompletionStatus

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.endpoint import EndpointModel

from .interface import Unfit


class ModelHost:
    """A model whose functions and memory BARs are those of *bars*: by routing id, then by index."""

    def __init__(self, model: EndpointModel, bars: Mapping[int, Mapping[int, int]]):
        self._model, self._bars = model, bars

    def _config_request(self, function: int, offset: int, size: int, write: bool, value: int) -> tlp.ConfigRequest:
        start, _, enables, _ = tlp.extent(offset, size)
        return tlp.ConfigRequest(
            write=write, bus=function >> 8, device=function >> 3 & 31, function=function & 7, offset=start,
            first_be=enables, data=value << 8 * (offset - start))

    def _ask(self, request: tlp.ConfigRequest | tlp.MemoryRequest) -> list[int] | None:
        """Payload of the completions; None if the function is not there."""
        payload: list[int] = []
        for dwords in self._model.receive(tlp.build(request)):
            completion = tlp.parse(dwords)
            assert isinstance(completion, tlp.Completion)
            if completion.status == CompletionStatus.UNSUPPORTED:
                return None
            payload += completion.payload
        return payload

    async def config_read(self, function: int, offset: int, size: int) -> int:
        """Read configuration space."""
        if function not in self._bars:
            return (1 << 8 * size) - 1
        found = self._ask(self._config_request(function, offset, size, False, 0))
        return (1 << 8 * size) - 1 if found is None else found[0] >> 8 * (offset & 3) & (1 << 8 * size) - 1

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        """Write configuration space; nothing happens if the function is not there."""
        if function in self._bars:
            self._ask(self._config_request(function, offset, size, True, value))

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        """Read inside a BAR."""
        address = self._address(function, bar, offset)
        found = self._ask(tlp.memory_read(address, size, requester=0, tag=0))
        if found is None:
            raise Unfit(f"BAR {bar} of function {function:#06x} does not answer at {offset:#x}")
        return int.from_bytes(tlp.to_bytes(found)[address & 3:][:size], "little")

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        """Write inside a BAR."""
        self._ask(tlp.memory_write(self._address(function, bar, offset), value.to_bytes(size, "little")))

    def _address(self, function: int, bar: int, offset: int) -> int:
        if bar not in self._bars.get(function, {}):
            raise Unfit(f"function {function:#06x} has no memory BAR {bar}")
        return self._bars[function][bar] + offset
