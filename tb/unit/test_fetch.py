"""Fetching QEMU and lspci: what is read from the machine's apt, and what is said when it does not work."""

import json

import pytest
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle import fetch

TARGETS = """\
MetaKey: main/binary-amd64/Packages
Codename: bookworm-security
Label: Debian-Security
Origin: Debian
Component: main
Release: bookworm-security
Repo-URI: http://mirror.example/debian-security/
Sourcesentry: /etc/apt/sources.list.d/debian.sources:2

MetaKey: contrib/binary-amd64/Packages
Origin: Debian
Component: contrib
Release: bookworm
Repo-URI: http://mirror.example/debian/
Sourcesentry: /etc/apt/sources.list.d/debian.sources:1

MetaKey: main/binary-amd64/Packages
Origin: Somebody
Component: main
Release: bookworm
Repo-URI: http://other.example/apt/
Sourcesentry: /etc/apt/sources.list.d/other.list:1

MetaKey: main/binary-amd64/Packages
Origin: Debian
Component: main
Release: bookworm
Repo-URI: http://mirror.example/debian/
Sourcesentry: /etc/apt/sources.list.d/debian.sources:1
"""

DEB822 = """\
Types: deb
# URIs: http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/other.gpg
"""


def test_the_archive_and_its_key_come_from_the_machine_s_own_entry():
    asked = []
    found = fetch.archive(TARGETS, lambda path: asked.append(path) or DEB822)
    assert found == fetch.Archive("http://mirror.example/debian", "bookworm", "/keys/debian.gpg")
    assert asked == ["/etc/apt/sources.list.d/debian.sources"]
    assert found.line("x") == "deb [signed-by=/keys/debian.gpg] http://mirror.example/debian x main\n"


def test_the_one_line_format_is_read_too():
    line = "deb [arch=amd64 signed-by=/keys/line.gpg] http://mirror.example/debian bookworm main\n"
    assert fetch.archive(TARGETS, lambda path: line).keyring == "/keys/line.gpg"


def test_lists_that_were_never_updated_name_no_origin():
    fresh = "\n".join(line for line in TARGETS.splitlines() if not line.startswith("Origin"))
    assert fetch.archive(fresh, lambda path: DEB822).uri == "http://mirror.example/debian"


def test_without_a_key_in_the_entry_the_system_s_keyring_is_taken_if_it_is_there(monkeypatch, tmp_path):
    keyless = DEB822.replace("Signed-By", "Comment")
    monkeypatch.setattr(fetch, "_KEYRING", tmp_path / "none.gpg")
    found = fetch.archive(TARGETS, lambda path: keyless)
    assert found.keyring == "" and found.line("x") == "deb http://mirror.example/debian x main\n"
    (tmp_path / "none.gpg").touch()
    assert fetch.archive(TARGETS, lambda path: keyless).keyring == str(tmp_path / "none.gpg")


def test_a_machine_without_debian_s_archive_is_told_what_to_do(monkeypatch):
    assert fetch.archive(TARGETS.replace("Origin: Debian", "Origin: Ubuntu"), lambda path: "") is None
    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fetch, "_run", lambda command, what: "")
    with pytest.raises(fetch.FetchError, match=r"names no Debian archive .*; install qemu-system-x86_64"):
        fetch._machine()


def test_a_machine_without_apt_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(fetch.FetchError, match=r"apt-get is missing.*install qemu-system-x86_64"):
        fetch._machine()


def test_a_complete_prefix_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    stamp = {"programs": ["qemu", "lspci"], "packages": {}}
    (tmp_path / "prefix").mkdir()
    (tmp_path / "prefix" / toolchain.PREFIX_STAMP).write_text(json.dumps(stamp))
    monkeypatch.setattr(fetch, "_machine", lambda: pytest.fail("asked apt although the prefix is complete"))
    assert fetch.fetch() == stamp


def test_a_failed_fetch_leaves_the_old_prefix_and_no_rubbish(monkeypatch, tmp_path):
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "prefix").mkdir()
    (tmp_path / "prefix" / toolchain.PREFIX_STAMP).write_text('{"programs": ["lspci"]}')
    (tmp_path / "prefix" / "kept").touch()
    monkeypatch.setattr(fetch, "_machine", lambda: fetch.Archive("http://mirror.example/debian", ""))

    def no_network(plan, source, place, progress):
        place.mkdir()
        raise fetch.FetchError("reading the package lists failed: no network")

    monkeypatch.setattr(fetch, "_fetch", no_network)
    with pytest.raises(fetch.FetchError, match="no network"):
        fetch.fetch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetch.lock", "prefix"]
    assert (tmp_path / "prefix" / "kept").exists()
