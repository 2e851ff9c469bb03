"""Recordings of guests: what is written is what is read, and each access gets its register's name."""

from pathlib import Path

import pytest
from virtio_mmr import config
from virtio_mmr.cli import main
from virtio_mmr.layout import place
from virtio_mmr_sim.guest import designs, record, trace
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.record import Access, Interrupt
from virtio_mmr_sim.guest.vfio_user import CONFIG_REGION, Region

GOLDEN = Path(__file__).parents[1] / "golden"


class Device:
    """Reads ascending bytes."""

    regions, vectors, has_line = {0: Region(64)}, 1, True

    def region_read(self, region, offset, size):
        return bytes(range(offset, offset + size))

    def region_write(self, region, offset, data):
        pass


def test_a_recording_comes_back_as_it_was(tmp_path):
    recorder = record.Recorder(Device(), keep=True)
    assert recorder.region_read(0, 2, 4) == b"\2\3\4\5"
    recorder.region_write(CONFIG_REGION, 4, b"\7\0")
    recorder.region_read(CONFIG_REGION, 0, 256)
    recorder.told(1)
    recorder.told(None)
    expected = [Access(False, 0, 2, 4, 0x05040302), Access(True, CONFIG_REGION, 4, 2, 7), Interrupt(1), Interrupt(None)]
    assert recorder.events == expected
    assert recorder.counts == {"BAR reads": 1, "configuration writes": 1, "configuration reads": 1}
    about = {"guest": "none", "show": "raw", "device": "schema = 1"}
    record.save(tmp_path / "a.jsonl", about, recorder.events)
    assert record.load(tmp_path / "a.jsonl") == (about, expected)


FIRST = '{"guest": "none", "show": "raw", "device": "schema = 1"}\n'


@pytest.mark.parametrize("text", [
    "", "text", "[]", "5", '{"show": "raw"}', FIRST.replace('"raw"', '"nothing"'), FIRST.replace('"raw"', "[]"),
    FIRST + '{"op": "r"}\n', FIRST + "[]\n", FIRST + '{"op":"r","at":"bar0","offset":"0","size":"x","value":"0"}',
])
def test_what_is_no_recording_is_refused(tmp_path, text, capsys):
    path = tmp_path / "b.jsonl"
    path.write_text(text)
    with pytest.raises(record.NoRecording, match=r"is no recording .*vmmr guest"):
        record.load(path)
    assert main(["trace", str(path)]) == 2
    assert "b.jsonl is no recording" in capsys.readouterr().err


def names(show, *events):
    described = config.loads(designs.text("net", show))
    return [step.name for step in trace.Decoder(described, show).steps(events)]


def read(region, offset, size=1):
    return Access(False, region, offset, size, 0)


def test_the_legacy_header_is_longer_while_msix_is_enabled():
    described = config.loads(designs.text("net", Show.RAW))
    control = place(described).capability("msix").offset + 2
    assert names(Show.RAW, read(0, 0x14), Access(True, CONFIG_REGION, control, 2, 0x8000), read(0, 0x14, 2),
                 read(0, 0x19), Access(True, CONFIG_REGION, control, 2, 0), read(0, 0x1A, 2)) == [
        "device.mac", "config.msix_control", "legacy.config_vector", "device.mac+1", "config.msix_control",
        "device.status"]


def test_modern_windows_and_the_hypervisor_s_device_have_names_too():
    assert names(Show.MODERN, read(2, 0x14), read(2, 0x2001), read(2, 0x3004, 2), read(0, 0x1000, 4), read(2, 0xFFF0)
                 ) == ["common.device_status", "device.mac+1", "notify.queue_1", "control.magic", "bar2.0xfff0"]
    assert names(Show.HYPERVISOR, read(0, 0x12), read(1, 0x1C, 4), read(CONFIG_REGION, 0x10, 4),
                 read(CONFIG_REGION, 0x50, 4)) == [
        "legacy.device_status", "msix.1.vector_control", "config.bar0", "config.0x050"]


def test_a_trace_reads_like_the_driver_s_source(capsys):
    assert main(["trace", "--bars", str(GOLDEN / "linux-6.12-net-raw.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Linux 6.12, net, raw, MSI-X"
    assert lines[1] == "  write  8   legacy.device_status                 0x00  reset"
    assert "  write  8   legacy.device_status                 0x07  ACKNOWLEDGE DRIVER DRIVER_OK" in lines
    assert "  interrupt  vector 1" in lines
    assert not any(" config." in line for line in lines)


def test_the_picture_of_a_probe_is_that_of_the_recording(tmp_path):
    picture = tmp_path / "probe.svg"
    assert main(["trace", "--bars", "--first", "38", "--svg", str(picture),
                 str(GOLDEN / "linux-6.12-net-raw.jsonl")]) == 0
    text = picture.read_text()
    assert text.count("marker-end") == 38
    assert "write legacy.device_status = 0x7  ACKNOWLEDGE DRIVER DRIVER_OK" in text
    docs = Path(__file__).parents[2] / "docs" / "linux-probe.svg"
    assert not docs.parent.is_dir() or docs.read_text() == text
