"""The open flow: the core beside a traffic generator in fabric, from Verilog to a bitstream."""
