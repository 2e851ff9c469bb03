"""The streams of the back-end boundary have the fields that users rely on, in order, lowest bit first."""

import pytest
from amaranth.hdl import Shape
from amaranth.lib import data
from virtio_mmr.gateware import backend
from virtio_mmr.gateware.endpoint import backend_streams

COMMON = {"function": 8, "epoch": 2}
FIELDS = {
    "driver_update": {"function": 8, "event": 2, "epoch": 2, "features": 64, "legacy": 1, "big_endian": 1,
                      "driver_ok": 1},
    "notification": {"function": 8, "queue": 16, "row": 16, "extra": 16, "legacy": 1},
    "queue_update": {"function": 8, "queue": 16, "row": 16, "change": 2, "size": 16, "descriptors": 64, "available": 64,
                     "used": 64, "first_available": 16, "first_used": 16, "vector_valid": 1},
    "queue_quiet": {"function": 8, "queue": 16},
    "reset_request": {**COMMON, "cause": 2},
    "reset_done": COMMON,
    "config_write": {"function": 8, "offset": 8, "data": 32, "strobe": 4},
    "config_update": {"function": 8, "offset": 8, "data": 32, "strobe": 4, "last": 1},
    "interrupt_cause": {**COMMON, "queue": 16, "config_change": 1},
    "fault": {**COMMON, "queue": 16, "cause": 4},
    "dma_read": {**COMMON, "address": 64, "bytes": 13, "owner": 3, "context": 16},
    "dma_write": {**COMMON, "address": 64, "bytes": 13, "context": 16, "report": 1},
    "dma_write_done": {"context": 16, "status": 1},
}
OUT = {"driver_update", "notification", "queue_update", "reset_request", "config_write", "dma_read_data",
       "dma_write_done"}


def fields_of(member):
    shape = member.signature.members["payload"].shape
    layout = shape if isinstance(shape, data.Layout) else data.Layout.cast(shape)
    return {name: Shape.cast(field.shape).width for name, field in layout}


@pytest.mark.parametrize("width", [64, 128, 256, 512])
def test_every_stream_has_its_fields_and_its_direction(width):
    streams = backend_streams(width)
    counted = {64: 4, 128: 5, 256: 6, 512: 7}[width]
    want = {**FIELDS,
            "dma_read_data": {"owner": 3, "context": 16, "data": width, "bytes": counted, "last": 1, "status": 3},
            "dma_write_data": {"data": width, "bytes": counted, "last": 1}}
    assert {name: fields_of(member) for name, member in streams.items()} == want
    assert [list(fields_of(streams[name])) for name in want] == [list(want[name]) for name in want]
    assert {name for name, member in streams.items() if member.flow.name == "Out"} == OUT


def test_codes_are_fixed():
    assert {one.name: one.value for one in backend.DriverEvent} == {
        "DRIVER_OK": 0, "FEATURES": 1, "GATE_OPEN": 2, "GATE_CLOSE": 3}
    assert {one.name: one.value for one in backend.QueueChange} == {"ENABLE": 0, "DISABLE": 1, "RESET": 2}
    assert {one.name: one.value for one in backend.ResetCause} == {
        "STATUS": 0, "FLR": 1, "VF_DISABLE": 2, "BAD_STATE": 3}
    assert {one.name: one.value for one in backend.DmaStatus} == {
        "OK": 0, "UNSUPPORTED": 1, "ABORTED": 2, "POISONED": 3, "TIMED_OUT": 4, "BLOCKED": 5}
