"""What is held against a guest: each thing that it may say wrong is noticed, and named."""

import hashlib
import os
import random
from types import SimpleNamespace

import pytest
from virtio_mmr_sim.guest import linux
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.session import said

GOOD = {"driver": ["virtio-pci virtio_rng"], "interface": ["legacy"], "warnings": ["0"], "done": [""],
        "interrupts": ["virtio0-config 0", "virtio0-input 4"]}


class Nothing:
    """A task with which nothing is wrong."""

    def problems(self, words):
        return []


def judge(words, sent, **choices):
    console = "".join(f"guest: {name} {text}\n" for name, texts in words.items() for text in texts)
    machine = SimpleNamespace(console=console, said=said(console), marked=sent)
    return linux.problems(linux.Boot("rng", **choices), Nothing(), machine)


def test_words_are_found_wherever_the_console_puts_them():
    console = "noise\n\x1b[2Jguest: kernel 6.12\nguest: done\nguest: done\n"
    assert said(console) == {"kernel": ["6.12"], "done": ["", ""]}


def test_a_guest_that_says_the_right_things_is_believed():
    assert not judge(GOOD, {"1": 4})
    assert not judge(GOOD | {"interface": ["modern"]}, {"1": 4}, show=Show.MODERN)
    assert not judge(GOOD | {"interrupts": ["virtio0 7"]}, {"line": 7}, msix=False)


@pytest.mark.parametrize("change", [
    {"driver": ["virtio-pci virtio_blk"]}, {"driver": []}, {"interface": ["modern"]}, {"warnings": ["1"]}, {"done": []},
    {"failed": ["virtio_rng"]}, {"interrupts": ["virtio0-config 0", "virtio0-input 3"]}, {"interrupts": []},
    {"interrupts": ["virtio0-config 4", "virtio0-input 0"]},
])
def test_a_guest_that_says_anything_else_is_not(change):
    [problem] = judge(GOOD | change, {"1": 4})
    assert next(iter(change)) in problem


def test_the_kind_of_interrupts_must_be_the_one_that_was_asked_for():
    assert "was to have INTx" in judge(GOOD, {"1": 4}, msix=False)[0]
    assert "was to have MSI-X" in judge(GOOD | {"interrupts": ["virtio0 4"]}, {"line": 4})[0]
    assert judge(GOOD | {"interrupts": ["virtio0 0"]}, {})


def test_random_numbers_must_differ_and_be_the_device_s():
    task = linux.Rng()
    numbers = [task._source(32).hex() for _ in range(4)]
    assert not task.problems({"random": numbers})
    assert "4 different" in task.problems({"random": numbers[:3] * 2})[0]
    [problem] = task.problems({"random": [*numbers[:3], "00" * 32]})
    assert "not what the device gave" in problem


def test_a_disk_is_judged_by_what_was_read_and_by_what_is_in_the_image():
    task = linux.Disk()
    data = random.Random(4).randbytes(1 << 24)
    words = {"kernel": ["6.x"], "sectors": ["32768"], "md5": [hashlib.md5(data[:1 << 20]).hexdigest()]}
    [problem] = task.problems(words)
    assert "sector 4096 of the image" in problem
    os.pwrite(task._descriptor, b"written by 6.x".ljust(512, b"\0"), 512 * task.SECTOR)
    assert not task.problems(words)
    assert len(task.problems(words | {"md5": ["0"], "sectors": ["1"]})) == 2
    task.close()


def test_a_network_is_judged_on_both_ends():
    task = linux.Network(2)
    file = hashlib.md5(random.Random(5).randbytes(200_000)).hexdigest()
    words = {"mac": ["52:54:00:12:34:58"], "ping": ["10 packets received"], "file": [file]}
    [problem] = task.problems(words)
    assert "the peer has answered 0 pings" in problem
    assert len(task.problems({})) == 4
