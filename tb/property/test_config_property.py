"""Whatever stands in a device file, the answer is a device or a `ConfigError`, never another exception."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_mmr.config import ConfigError, loads, remarks
from virtio_mmr.export.device_file import completed
from virtio_mmr.layout import place

EXAMPLES = [path.read_text() for path in sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))]

PIECES = ["[", "]", "{", "}", "=", '"', "\n", ",", "0x", "-", "true", "[vf]\n", "[bars.1]\n", "1e400", "1979-05-27"]

VALUES = st.one_of(
    st.booleans().map(lambda value: "true" if value else "false"),
    st.integers(-1, 70000).map(str),
    st.integers(0, 1 << 80).map(hex),
    st.sampled_from(['""', '"net"', '"auto"', '"io"', "[]", "[1]", '["vsec"]', "{}", "{ a = 1 }", "nan", "1.5"]),
)


def answer(text: str) -> None:
    """Loads *text*; a device must also be placed, completed and remarked on."""
    try:
        config = loads(text)
    except ConfigError as error:
        assert str(error) and error.rule and error.cure
        return
    place(config)
    remarks(config)
    assert loads(completed(config)) == config


@settings(deadline=None)
@given(st.sampled_from(EXAMPLES), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 9), st.sampled_from(PIECES))))
def test_edited_example_is_answered(text, edits):
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    answer(text)


@settings(deadline=None)
@given(st.data(), st.sampled_from(EXAMPLES))
def test_example_with_other_values_is_answered(data, text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    places = [index for index, line in enumerate(lines) if " = " in line and not line.startswith(" ")]
    for index in data.draw(st.lists(st.sampled_from(places), max_size=3)):
        key = lines[index].split(" = ")[0]
        lines[index] = f"{key} = {data.draw(VALUES)}"
    if data.draw(st.booleans()):
        lines.pop(data.draw(st.integers(0, len(lines) - 1)))
    answer("\n".join(lines))


@pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000, f"0x{'f' * 5000}", "[" + "9, " * 100000 + "]"])
def test_monstrous_value_is_answered(value):
    answer(f'[device]\nkind = "net"\nrevision = {value}\n')
