"""Values of a test's parameters that only wider runs take: `make test` takes neither kind, CI takes the broad ones."""

import pytest


def broad(*values) -> list:
    """Parameters that run with ``--broad``; a tuple is one value for each name."""
    return _marked(values, pytest.mark.broad)


def full(*values) -> list:
    """Parameters that run with ``--full``."""
    return _marked(values, pytest.mark.full)


def _marked(values, mark) -> list:
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=mark) for value in values]
