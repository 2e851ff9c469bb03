"""Fetches QEMU and lspci from Debian's packages into a private prefix, without root.

The machine's own apt says where Debian's archive is and which key signs it; its state is neither
read nor changed otherwise: package lists, status and cache are private, and are thrown away when
the prefix is complete. A second call finds the prefix and does nothing.

Run it with ``python -m virtio_mmr_sim.oracle.fetch``.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from virtio_mmr_sim import toolchain

#: Release that the programs are taken from: the first one with QEMU 10.2 or later in its backports.
RELEASE = "trixie"

#: Keyring of Debian's archive, for machines whose own entry names none.
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: What a user can do instead.
_INSTEAD = "install qemu-system-x86_64 10.2 or later and lspci yourself: they are found on the search path"

#: Packages that nothing here runs or loads: account tools and data, boot ROMs, and libraries of QEMU
#: modules for sound, braille, smart cards and Kerberos. apt is told that they are there already.
_LEFT_OUT = (
    "adduser", "base-passwd", "debconf", "ipxe-qemu", "libasound2t64", "libbrlapi0.8", "libcacard0",
    "libsasl2-modules-db", "openssl-provider-legacy", "passwd", "pci.ids",
)

Progress = Callable[[str], None]


class FetchError(RuntimeError):
    """The programs cannot be fetched; the text says why and what else can be done."""


@dataclass(frozen=True)
class Archive:
    """Debian's archive as the machine's apt knows it."""

    uri: str
    #: Release that the machine itself runs.
    release: str
    #: Path of the keyring; empty to trust what the machine trusts.
    keyring: str = ""

    def line(self, suite: str) -> str:
        """Entry of a source list for *suite*."""
        option = f"[signed-by={self.keyring}] " if self.keyring else ""
        return f"deb {option}{self.uri} {suite} main\n"


@dataclass(frozen=True)
class Plan:
    """One way to get programs: packages, and the suites that hold them."""

    suites: tuple[str, ...]
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    #: Packages that they depend on and that are not taken.
    left_out: tuple[str, ...] = _LEFT_OUT


def archive(targets: str, read: Callable[[str], str]) -> Archive | None:
    """Debian's archive from what ``apt-get indextargets`` prints.

    *read* returns the text of a source list. None if no entry is Debian's main archive; security
    and overlay archives are passed over.
    """
    for stanza in targets.split("\n\n"):
        values = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", stanza, re.MULTILINE))
        uri = values.get("Repo-URI", "").rstrip("/")
        origin = values.get("Origin", "Debian" if "debian" in uri.lower() else "")
        if values.get("Component") != "main" or origin != "Debian" or "security" in uri or not uri:
            continue
        entry = values.get("Sourcesentry", "").rpartition(":")[0]
        return Archive(uri, values.get("Release", ""), _keyring(read(entry) if entry else "", uri))
    return None


def _keyring(source_list: str, uri: str) -> str:
    """The keyring that the source list's entry for *uri* names, in either of apt's formats."""
    for part in re.split(r"\n\s*\n", source_list):
        text = "\n".join(line for line in part.splitlines() if not line.startswith("#"))
        named = re.search(r"(?:^Signed-By:\s*|\bsigned-by=)(/[^\s\],]+)", text, re.MULTILINE | re.IGNORECASE)
        if uri in text and named:
            return named[1]
    return str(_KEYRING) if _KEYRING.is_file() else ""


def _run(command: Sequence[str], what: str) -> str:
    """Output of *command*; its last lines of complaint in the error."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if line.strip()][-6:]
        raise FetchError(f"{what} failed:\n  " + "\n  ".join(complaints))
    return done.stdout


def _machine() -> Archive:
    """Debian's archive from this machine's apt."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise FetchError(f"{program} is missing, so Debian's packages cannot be had; {_INSTEAD}")

    def read(path: str) -> str:
        return Path(path).read_text(errors="replace") if Path(path).is_file() else ""

    targets = _run(["apt-get", "indextargets", "Created-By: Packages"], "asking apt for its sources")
    found = archive(targets, read)
    if found is None:
        raise FetchError(f"this machine's apt names no Debian archive with the component main; {_INSTEAD}")
    return found


class _PrivateApt:
    """apt with its own sources, lists, status and cache under *place*."""

    def __init__(self, place: Path, source_list: str, left_out: Sequence[str] = _LEFT_OUT) -> None:
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        (place / "sources.list").write_text(source_list)
        architecture = _run(["dpkg", "--print-architecture"], "asking dpkg for the architecture").strip()
        (place / "status").write_text("".join(
            f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\n"
            f"Multi-Arch: foreign\nVersion: 99:9999\nMaintainer: none\nDescription: left out\n\n"
            for name in left_out))
        self.archives = place / "cache/archives"
        self._options = [word for option in (
            f"Dir::Etc::sourcelist={place}/sources.list", "Dir::Etc::sourceparts=/dev/null",
            "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
            f"Dir::State={place}/state", f"Dir::State::lists={place}/state/lists",
            f"Dir::State::status={place}/status", f"Dir::Cache={place}/cache",
            "APT::Install-Recommends=false", "APT::Sandbox::User=", "Debug::NoLocking=true",
            "Acquire::Languages=none", "Acquire::Retries=3", "APT::Update::Error-Mode=any",
            "APT::Get::AllowUnauthenticated=false",
        ) for word in ("-o", option)]

    def run(self, what: str, *arguments: str) -> str:
        """Output of ``apt-get`` with *arguments*."""
        return _run(["apt-get", *self._options, *arguments], what)


def _fetch(plan: Plan, source: Archive, place: Path, progress: Progress) -> dict[str, object]:
    """Fill ``place/prefix`` by *plan*; what came, for the stamp."""
    apt = _PrivateApt(place / "apt", "".join(source.line(suite) for suite in plan.suites), plan.left_out)
    progress(f"package lists of {', '.join(plan.suites)}")
    apt.run(f"reading the package lists of {', '.join(plan.suites)}", "update", "-q")
    request = ["install", "-y", "-q", "-t", plan.suites[-1], *plan.packages]
    resolved = apt.run("resolving packages", "--print-uris", *request)
    sizes = [int(size) for size in re.findall(r"^'\S+' \S+ (\d+)", resolved, re.MULTILINE)]
    progress(f"{len(sizes)} packages, {sum(sizes) / 1e6:.1f} MB")
    apt.run("downloading packages", "--download-only", *request)
    packages = {}
    files = sorted(apt.archives.glob("*.deb"))
    for number, file in enumerate(files, 1):
        if number % 20 == 0 or number == len(files):
            progress(f"unpacked {number} of {len(files)}")
        _run(["dpkg-deb", "-x", str(file), str(place / "prefix")], f"unpacking {file.name}")
        name, version, _ = file.name.split("_", 2)
        packages[name] = version.replace("%3a", ":")
    return {"programs": list(plan.programs), "suites": list(plan.suites), "downloaded_bytes": sum(sizes),
            "packages": packages}


def _newer_keyring(source: Archive, place: Path) -> Archive:
    """The archive with the keyring that the machine's own release ships now.

    An old image's keyring may lack the keys of a later release; the package that brings them is
    checked with the keys that the image has.
    """
    apt = _PrivateApt(place / "keyring", source.line(source.release))
    apt.run(f"reading the package lists of {source.release}", "update", "-q")
    apt.run("downloading the keyring", "install", "-y", "-q", "--download-only", "debian-archive-keyring")
    for file in apt.archives.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(file), str(place / "keyring")], f"unpacking {file.name}")
    return replace(source, keyring=str(place / "keyring" / _KEYRING.relative_to("/")))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two processes do not fetch at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_plan(plan: Plan, prefix: Path, progress: Progress = lambda text: None) -> dict[str, object]:
    """Unpack what *plan* names below *prefix* and return the stamp; does nothing if that has been done.

    Raises
    ------
    FetchError
        If apt or dpkg is absent, no Debian archive is known, or it cannot be reached.
    """
    stamp = prefix / toolchain.PREFIX_STAMP
    with _alone(prefix.parent):
        if stamp.is_file():
            kept: dict[str, object] = json.loads(stamp.read_text())
            return kept
        return _install(plan, _machine(), prefix, progress)


def fetch(progress: Progress = lambda text: None, *, again: bool = False) -> dict[str, object]:
    """Make the private prefix complete and return its stamp; does nothing if it is (unless *again*).

    Raises
    ------
    FetchError
        If apt or dpkg is absent, no Debian archive is known, or it cannot be reached. If QEMU cannot
        be had but lspci can, the prefix holds lspci alone, and the error says so.
    """
    prefix = toolchain.prefix()
    stamp = prefix / toolchain.PREFIX_STAMP
    with _alone(prefix.parent):
        if stamp.is_file() and not again:
            kept: dict[str, object] = json.loads(stamp.read_text())
            if "qemu" in cast(list[str], kept["programs"]):
                return kept
        source = _machine()
        suites = RELEASE, f"{RELEASE}-backports"
        try:
            return _install(Plan(suites, ("qemu-system-x86", "pciutils"), ("qemu", "lspci")), source, prefix,
                            progress)
        except FetchError as error:
            problem = error
        if toolchain.find("lspci").found or not source.release:
            raise problem
        progress(f"QEMU cannot be had; taking lspci from {source.release}")
        _install(Plan((source.release,), ("pciutils",), ("lspci",)), source, prefix, progress)
        raise FetchError(f"lspci is there, from {source.release}, but QEMU is not: {problem}")


def _install(plan: Plan, source: Archive, prefix: Path, progress: Progress) -> dict[str, object]:
    """Carry out *plan* beside the prefix, then put the result in its place at once."""
    place = prefix.with_name("fetching")
    shutil.rmtree(place, ignore_errors=True)
    try:
        try:
            stamp = _fetch(plan, source, place, progress)
        except FetchError as error:
            if "NO_PUBKEY" not in str(error) or not source.release:
                raise
            progress("the keyring of this machine is too old; taking its release's newest")
            stamp = _fetch(plan, _newer_keyring(source, place), place, progress)
        (place / "prefix" / toolchain.PREFIX_STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
        shutil.rmtree(prefix, ignore_errors=True)
        (place / "prefix").replace(prefix)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    toolchain.forget()
    return stamp


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m virtio_mmr_sim.oracle.fetch", description=(
        "Fetch QEMU and lspci from Debian's packages into a private prefix, without root."))
    parser.add_argument("--again", action="store_true", help="fetch even if the prefix is complete")
    options = parser.parse_args(arguments)
    try:
        fetch(lambda text: print(f"fetch: {text}", file=sys.stderr), again=options.again)
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    for name in ("qemu", "lspci"):
        tool = toolchain.find(name)
        print(f"{name} {tool.version}: {tool.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
