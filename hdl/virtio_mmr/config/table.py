"""One table of a device file, read key by key with types checked."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from .errors import ConfigError, spell


class Table:
    """Values under *path*; an empty path is the file itself.

    Raises
    ------
    ConfigError
        If the value is not a table, or has a key that is not among *keys*. The methods raise it for a
        value of the wrong type.
    """

    def __init__(self, path: str, values: object, keys: Collection[str]):
        self.path = path
        if not isinstance(values, dict):
            raise ConfigError(path, values, "a table is expected here", "write { key = value }")
        self._values: dict[str, object] = values
        for key in values:
            if key not in keys:
                what = f"[{path}]" if path else "a device file"
                raise ConfigError(
                    self.key(key),
                    None,
                    f"unknown key; {what} has {', '.join(keys) or 'no keys'}",
                    suggestion(key, keys) or "remove it",
                )

    def key(self, key: str) -> str:
        """Path of *key*."""
        return f"{self.path}.{key}" if self.path else key

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str) -> object:
        """The raw value, or None if there is none."""
        return self._values.get(key)

    def section(self, key: str, keys: Collection[str]) -> "Table":
        """The table at *key*, an empty one if there is none."""
        return Table(self.key(key), self._values.get(key, {}), keys)

    def require(self, key: str, example: str) -> None:
        """Insists that *key* is there."""
        if key not in self._values:
            raise ConfigError(self.key(key), None, "missing", f"write {key} = {example}")

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number from *least* to *most*."""
        return integer(self.key(key), self._values.get(key, default), least, most)

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise ConfigError(self.key(key), value, "must be true or false", f"write {key} = true or {key} = false")
        return value

    def string(self, key: str, default: str) -> str:
        """A string."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise ConfigError(self.key(key), value, "a string is expected here", f"write {key} = {spell(default)}")
        return value

    def choice(self, key: str, default: str, options: Collection[str]) -> str:
        """One of *options*."""
        value = self.string(key, default)
        if value not in options:
            raise ConfigError(
                self.key(key),
                value,
                f"must be {alternatives(options)}",
                suggestion(value, options) or f"write {key} = {spell(default)}",
            )
        return value

    def array(self, key: str, default: Iterable[object]) -> list[object]:
        """A list."""
        value = self._values.get(key)
        if value is None:
            return list(default)
        if not isinstance(value, list):
            raise ConfigError(self.key(key), value, "a list is expected here", f"write {key} = [...]")
        return value


def integer(path: str, value: object, least: int, most: int) -> int:
    """*value* if it is a whole number from *least* to *most*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(path, value, "a whole number is expected here", f"write a number from {least} to {most}")
    if not least <= value <= most:
        raise ConfigError(
            path,
            value,
            f"must be from {least} to {most}",
            f"write {least if value < least else most} or a number between the two",
        )
    return value


def alternatives(values: Iterable[object]) -> str:
    """The values as TOML writes them, joined by commas and a last "or"."""
    *others, last = map(spell, values)
    return f"{', '.join(others)} or {last}" if others else last


def suggestion(word: str, known: Iterable[str]) -> str:
    """A cure that proposes the known word closest to *word*; empty if none is close."""
    spelled = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), spelled, n=1)
    return f'did you mean "{spelled[close[0]]}"?' if close else ""
