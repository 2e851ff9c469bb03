# SQRL Acorn CLE-215, xc7a200tfbg484-2

# The link must be ready 100 ms after power is good.
set_property CFGBVS VCCO [current_design]
set_property CONFIG_VOLTAGE 3.3 [current_design]
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
set_property BITSTREAM.CONFIG.SPI_BUSWIDTH 4 [current_design]
set_property BITSTREAM.CONFIG.SPI_FALL_EDGE YES [current_design]
set_property BITSTREAM.CONFIG.CONFIGRATE 33 [current_design]

# Reference clock, 100 MHz.
create_clock -period 10.000 -name pcie_refclk [get_ports pcie_refclk_p]

# Pins.
set_property PACKAGE_PIN J1 [get_ports pcie_reset_n]
set_property IOSTANDARD LVCMOS33 [get_ports pcie_reset_n]
set_property PULLTYPE PULLUP [get_ports pcie_reset_n]
set_property PACKAGE_PIN F6 [get_ports pcie_refclk_p]
set_property PACKAGE_PIN E6 [get_ports pcie_refclk_n]
set_property PACKAGE_PIN B10 [get_ports {pcie_rx_p[0]}]
set_property PACKAGE_PIN A10 [get_ports {pcie_rx_n[0]}]
set_property PACKAGE_PIN B6 [get_ports {pcie_tx_p[0]}]
set_property PACKAGE_PIN A6 [get_ports {pcie_tx_n[0]}]
set_property PACKAGE_PIN B8 [get_ports {pcie_rx_p[1]}]
set_property PACKAGE_PIN A8 [get_ports {pcie_rx_n[1]}]
set_property PACKAGE_PIN B4 [get_ports {pcie_tx_p[1]}]
set_property PACKAGE_PIN A4 [get_ports {pcie_tx_n[1]}]
set_property PACKAGE_PIN D11 [get_ports {pcie_rx_p[2]}]
set_property PACKAGE_PIN C11 [get_ports {pcie_rx_n[2]}]
set_property PACKAGE_PIN D5 [get_ports {pcie_tx_p[2]}]
set_property PACKAGE_PIN C5 [get_ports {pcie_tx_n[2]}]
set_property PACKAGE_PIN D9 [get_ports {pcie_rx_p[3]}]
set_property PACKAGE_PIN C9 [get_ports {pcie_rx_n[3]}]
set_property PACKAGE_PIN D7 [get_ports {pcie_tx_p[3]}]
set_property PACKAGE_PIN C7 [get_ports {pcie_tx_n[3]}]
set_property PACKAGE_PIN G3 [get_ports {led[0]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[0]}]
set_property PACKAGE_PIN H3 [get_ports {led[1]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[1]}]
set_property PACKAGE_PIN G4 [get_ports {led[2]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[2]}]
set_property PACKAGE_PIN H4 [get_ports {led[3]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[3]}]
set_property PACKAGE_PIN G1 [get_ports pcie_clkreq_n]
set_property IOSTANDARD LVCMOS33 [get_ports pcie_clkreq_n]

# These have no clock.
set_false_path -from [get_ports pcie_reset_n]
set_false_path -to [get_ports {led[*]}]
