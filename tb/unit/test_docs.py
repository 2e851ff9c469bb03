"""The documentation is true: its commands run and print what is shown, its generated parts are fresh.

Blocks marked ``console`` are run page by page, in order, in a folder of the page's own; ``...`` in what is shown
stands for anything. A block behind ``<!-- file: NAME -->`` is written as that file first.
"""

import argparse
import contextlib
import doctest
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from virtio_mmr import cli, config
from virtio_mmr.config import defaults
from virtio_mmr.export.device_file import completed
from virtio_mmr.spec.device_types import DEVICE_TYPES
from virtio_mmr_sim import testplan, toolchain

ROOT = Path(__file__).parents[2]
if not (ROOT / "docs").is_dir():
    pytest.skip("the documentation is in the source tree alone", allow_module_level=True)

_specification = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
refresh = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(refresh)

PAGES = {str(page.relative_to(ROOT)): page for page in refresh.pages()}

#: Commands that are not run here, by their first words, and why.
EXEMPT = {
    "make generate": "installs everything",
    "make test": "the whole regression; it runs this test",
    "vmmr test": "builds a simulation, minutes",
    "vmmr fuzz": "builds a simulation, half a minute",
    "vmmr differ": "needs QEMU",
    "vmmr guest": "needs QEMU, and a kernel",
    "vmmr doctor": "depends on the machine",
}

if importlib.util.find_spec("wavedrom") is None and not toolchain.in_ci():
    EXEMPT["vmmr docs"] = "needs the Python package wavedrom"

_BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``file`` is the name that it is to be saved under, if any."""

    kind: str
    text: str
    file: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(found["kind"], found["text"], found["file"]) for found in _BLOCK.finditer(text)]


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command of a console block with what is shown below it."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        else:
            command, shown = found[-1]
            found[-1] = (command, shown + line)
    return found


def is_exempt(command: str) -> bool:
    return any(command == words or command.startswith(f"{words} ") for words in EXEMPT)


def run(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and everything printed; ``vmmr`` runs here, everything else in a shell."""
    words = shlex.split(command)
    if words[0] == "vmmr" and ">" not in words:
        out = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = cli.main(words[1:])
        return code, out.getvalue()
    if words[0].startswith("verilator"):
        toolchain.skip_or_fail("verilator")
        words[:1] = toolchain.verilator()
    done = subprocess.run(
        command if words[0] == "sed" else words, shell=words[0] == "sed", cwd=folder, env=toolchain.environment(),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def agree(shown: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each page, with the examples in it."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("page")
            shutil.copytree(ROOT / "examples", made[name] / "examples")
            shutil.copytree(ROOT / "tb/golden", made[name] / "tb/golden")
        return made[name]

    return folder


@pytest.mark.parametrize("name", PAGES)
def test_commands_print_what_the_page_shows(name, folders):
    wrong = []
    for block in blocks(PAGES[name]):
        if block.file:
            (folders(name) / block.file).write_text(block.text, encoding="utf-8")
        for command, shown in commands(block) if block.kind == "console" else []:
            if is_exempt(command):
                continue
            code, printed = run(command, folders(name))
            # A command may fail only if the page shows that it does.
            expected_to_fail = shown.startswith("vmmr: ") or " --diff " in command
            if (code != 0 and not expected_to_fail) or not agree(shown, printed):
                wrong.append(f"$ {command}\n--- shown\n{shown}--- printed, exit code {code}\n{printed}")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("name", PAGES)
def test_commands_that_are_not_run_are_spelled_right(name):
    for block in blocks(PAGES[name]):
        for command, _ in commands(block) if block.kind == "console" else []:
            if is_exempt(command) and command.startswith("vmmr "):
                cli._parser().parse_args(shlex.split(command)[1:])


def test_tutorial_compiles_with_the_core_it_generated(folders):
    """Verilator takes the page's top and the core as one design, and names no mistake in the page's own lines."""
    toolchain.skip_or_fail("verilator")
    folder = folders("docs/user-guide.md")
    files = {block.file: block.text for block in blocks(PAGES["docs/user-guide.md"]) if block.file}
    for name in ("console_top.v",):
        (folder / name).write_text(files[name])
    if not (folder / "out").exists():
        for command in ("vmmr new console -o my-console.toml", "vmmr generate my-console.toml -o out"):
            assert run(command, folder)[0] == 0
    words = ["--cc", "-Wall", "-Wno-UNUSEDSIGNAL", "-Wno-UNDRIVEN", "-Wno-DECLFILENAME", "out/virtio_mmr.vlt", "-Iout",
             "--top-module", "console_top", "console_top.v", "out/virtio_mmr.v"]
    done = subprocess.run([*toolchain.verilator(), *words], cwd=folder, env=toolchain.environment(),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "obj_dir" / "Vconsole_top.mk").exists()


@pytest.mark.parametrize("name", PAGES)
def test_generated_parts_are_fresh(name):
    text = PAGES[name].read_text(encoding="utf-8")
    for marker, _ in refresh.parts(text):
        assert marker in refresh.QUICK or marker in refresh.FIGURES
    assert refresh.refreshed(text, refresh.QUICK) == text, "run: python docs/refresh.py"


def test_every_generated_part_stands_somewhere():
    found = {marker for page in PAGES.values() for marker, _ in refresh.parts(page.read_text(encoding="utf-8"))}
    assert found == {*refresh.QUICK, *refresh.FIGURES}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_test_that_a_page_names_exists():
    text = PAGES["docs/errors.md"].read_text(encoding="utf-8")
    named = re.findall(r"`(bench_\w+)::(\w+)`", text)
    assert len(named) > 40
    missing = [testplan.missing_test(f"tb/system/{module}.py::{case}", ROOT) for module, case in named]
    assert not any(missing), missing


def test_every_test_that_the_review_names_exists():
    """Each row of the page names tests, or says "next"."""
    files = {path.stem: path for path in (ROOT / "tb").rglob("*.py")}
    text = PAGES["docs/review.md"].read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)::(\w+)`", text)
    assert len(named) > 30
    missing = [f"{module}::{test}" for module, test in named if module not in files
               or testplan.missing_test(str(files[module].relative_to(ROOT)) + "::" + test, ROOT)]
    assert not missing
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "Shown by" not in line]
    assert len(rows) >= 14
    assert all(len(row) == 3 and ("::" in row[2] or "*next*" in row[2]) for row in rows)


def test_every_page_is_listed_in_the_index():
    index = PAGES["docs/index.md"].read_text(encoding="utf-8")
    for name in PAGES:
        assert name in ("README.md", "docs/index.md") or Path(name).name in index, name


# --- The user guide's reference ----------------------------------------------------------------------------------


def keys(values: dict, path: str = "") -> set[str]:
    """Dotted names of everything in a device file; all BARs count as the first."""
    found = set()
    for key, value in values.items():
        name = re.sub(r"^bars\.\d+", "bars.0", f"{path}{key}")
        found |= keys(value, f"{name}.") if isinstance(value, dict) else {name}
    return found


@pytest.mark.parametrize("kind", DEVICE_TYPES)
def test_every_key_of_a_device_file_is_described(kind):
    guide = PAGES["docs/user-guide.md"].read_text(encoding="utf-8")
    device = config.loads(f'[device]\nkind = "{kind}"\n')
    described = set(re.findall(r"`([\w.]+)`", guide))
    assert keys(tomllib.loads(completed(device))) - described == set()


def test_every_feature_default_is_described():
    guide = PAGES["docs/user-guide.md"].read_text(encoding="utf-8")
    for kind in DEVICE_TYPES:
        offered = " ".join(defaults.FEATURES[kind])
        assert offered in guide, kind


def test_every_example_of_a_device_file_is_sound():
    found = [block.text for block in blocks(PAGES["docs/user-guide.md"]) if block.kind == "toml"]
    assert len(found) > 8
    for text in found:
        config.loads(text if "[device]" in text else f'{text}\n[device]\nkind = "net"\n')


def test_every_verb_has_a_section():
    guide = PAGES["docs/user-guide.md"].read_text(encoding="utf-8")
    verbs = [verb.__name__.rpartition(".")[2] for verb in cli.VERBS]
    assert re.findall(r"(?m)^### `vmmr (\w+)`$", guide) == verbs


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda verb: verb.__name__.rpartition(".")[2])
def test_every_option_is_described_in_the_section_of_its_verb(verb):
    guide = PAGES["docs/user-guide.md"].read_text(encoding="utf-8")
    name = verb.__name__.rpartition(".")[2]
    section = guide.partition(f"### `vmmr {name}`\n")[2].partition("\n### ")[0]
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    verb.add(subparsers)
    for action in subparsers.choices[name]._actions:
        if action.option_strings and action.dest not in ("help", "json"):
            assert any(re.search(rf"(?<![\w-]){option}(?![\w-])", section) for option in action.option_strings), (
                action.option_strings)


def test_python_of_the_hypervisor_page_runs():
    [block] = [block for block in blocks(PAGES["docs/hypervisor.md"]) if block.kind == "python"]
    names: dict[str, object] = {}
    exec(compile(block.text, "docs/hypervisor.md", "exec"), names)
    assert names["function"].layouts == ("classic", "literal", "vsec")
    assert names["bound"].sizes == [128, 128] and names["bound"].features >> 27 & 1


def test_every_module_of_the_hypervisor_is_on_its_page():
    from virtio_mmr_sim.host import hypervisor

    text = PAGES["docs/hypervisor.md"].read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.py)`", text))
    modules = {path.name for path in Path(hypervisor.__file__).parent.glob("*.py")}
    assert named <= modules
    assert modules - named == {
        "__init__.py", "interface.py", "window.py", "guest.py", "golden.py", "native.py", "simulated.py"}


def test_python_of_the_integration_guide_runs():
    [block] = [block for block in blocks(PAGES["docs/integration.md"]) if block.kind == "python"]
    names: dict[str, object] = {}
    exec(compile(block.text, "docs/integration.md", "exec"), names)
    assert "module card" in names["text"]
