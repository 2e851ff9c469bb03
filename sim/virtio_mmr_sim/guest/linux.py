"""Linux guests: what each device's stock driver is made to do, and what the guest says of it.

The guest's script prints lines that start with ``guest: ``; a name follows, then what there is to say.
"""

from dataclasses import dataclass
from types import MappingProxyType

from . import initramfs, packages

#: Kernel parameters: a console, an end instead of a hang, and nothing that takes time for nothing.
PARAMETERS = "console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable no_timer_check rcupdate.rcu_expedited=1"

_COMMON = """
device=$(ls -d /sys/bus/virtio/devices/virtio0 2>/dev/null)
slot=$(basename $(readlink -f /sys/bus/virtio/devices/virtio0/..))
echo "guest: kernel $(uname -r)"
echo "guest: pci $(cat /sys/bus/pci/devices/$slot/vendor) $(cat /sys/bus/pci/devices/$slot/device)"
echo "guest: driver $(basename $(readlink /sys/bus/pci/devices/$slot/driver)) \
$(basename $(readlink /sys/bus/virtio/devices/virtio0/driver))"
echo "guest: features $(cat /sys/bus/virtio/devices/virtio0/features)"
dmesg | grep -q 'leaving for legacy driver' && echo "guest: legacy yes" || echo "guest: legacy no"
"""

_INTERRUPTS = """
sleep 1
grep virtio0 /proc/interrupts | while read line; do
  set -- $line; shift; count=0
  while [ "$1" -eq "$1" ] 2>/dev/null; do count=$((count + $1)); shift; done
  for name in $*; do :; done
  echo "guest: interrupts $name $count"
done
"""

_RNG = """
echo "guest: current $(cat /sys/class/misc/hw_random/rng_current)"
for i in 1 2 3 4; do
  echo "guest: random $(dd if=/dev/hwrng bs=32 count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \\n')"
done
"""


@dataclass(frozen=True)
class Scenario:
    """Modules to load, and what to do with the device."""

    modules: tuple[str, ...]
    script: str


SCENARIOS = MappingProxyType({
    "rng": Scenario(("virtio-rng",), _RNG),
})


def files(device: str, version: str) -> dict[str, bytes]:
    """Kernel and initramfs of a guest that works with *device*.

    Raises
    ------
    packages.PackagesMissing
        If they cannot be had.
    """
    image, modules = packages.kernel(version)
    scenario = SCENARIOS[device]
    script = _COMMON + scenario.script + _INTERRUPTS
    return {"kernel": image.read_bytes(), "initramfs": initramfs.linux(modules, scenario.modules, script)}


def arguments(parameters: str = "") -> list[str]:
    """QEMU's command line for such files."""
    return ["-smp", "1", "-kernel", "@kernel", "-initrd", "@initramfs", "-append", f"{PARAMETERS} {parameters}".strip()]


def said(console: str) -> dict[str, list[str]]:
    """What the guest's script has printed, by name."""
    found: dict[str, list[str]] = {}
    for line in console.splitlines():
        if line.startswith("guest: "):
            name, _, text = line[7:].strip().partition(" ")
            found.setdefault(name, []).append(text)
    return found
