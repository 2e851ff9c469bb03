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
        where = f"{self.name}: {self.path}" if self.name else self.path
        found = "" if self.value is None else f" = {spell(self.value)}"
        return f"{where}{found}: {self.rule}; {self.cure}"


def spell(value: object) -> str:
    """*value* as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {spell(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value)
