"""The project for Vivado: IP, constraints, top module and the scripts that put them together."""
