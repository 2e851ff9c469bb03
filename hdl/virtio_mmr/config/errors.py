"""What is said about a device file that breaks a rule."""


class ConfigError(ValueError):
    """A device description that cannot be built.

    Attributes
    ----------
    path : str
        Where the mistake is, as in ``bars.0.regions[4].size``.
    value : object
        What stands there; None if something is missing.
    rule : str
        What is required, with no full stop.
    cure : str
        What to write instead, with no full stop.
    name : str
        The file it was found in; empty if it did not come from a file.
    """

    def __init__(self, path: str, value: object, rule: str, cure: str, name: str = ""):
        self.path = path
        self.value = value
        self.rule = rule
        self.cure = cure
        self.name = name
        super().__init__(str(self))

    def __str__(self) -> str:
        found = "" if self.value is None else f" = {self._spelled()}"
        where = ": ".join(part for part in (self.name, self.path + found) if part)
        return f"{where}: {self.rule}; {self.cure}" if where else f"{self.rule}; {self.cure}"

    def _spelled(self) -> str:
        is_bytes = self.path.endswith((".offset", ".size"))
        return f"{self.value:#x}" if is_bytes and isinstance(self.value, int) else spell(self.value)


class UnreadableError(ConfigError):
    """A file that cannot be read, or is not text: the question itself is wrong."""


def spell(value: object) -> str:
    """*value* as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Python refuses to write very long numbers in decimal.
        return str(value) if value.bit_length() <= 64 else hex(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {spell(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value)
