# RK-XCKU5P-F, xcku5p-ffvb676-2-e

# The link must be ready 100 ms after power is good.
set_property CFGBVS GND [current_design]
set_property CONFIG_VOLTAGE 1.8 [current_design]
set_property CONFIG_MODE SPIx4 [current_design]
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
set_property BITSTREAM.CONFIG.SPI_BUSWIDTH 4 [current_design]
set_property BITSTREAM.CONFIG.SPI_FALL_EDGE YES [current_design]
set_property BITSTREAM.CONFIG.CONFIGRATE 72.9 [current_design]

# Reference clock, 100 MHz.
create_clock -period 10.000 -name pcie_refclk [get_ports pcie_refclk_p]

# Pins.
set_property PACKAGE_PIN T19 [get_ports pcie_reset_n]
set_property IOSTANDARD LVCMOS12 [get_ports pcie_reset_n]
set_property PULLTYPE PULLUP [get_ports pcie_reset_n]
set_property PACKAGE_PIN AB7 [get_ports pcie_refclk_p]
set_property PACKAGE_PIN AB6 [get_ports pcie_refclk_n]
set_property PACKAGE_PIN AB2 [get_ports {pcie_rx_p[0]}]
set_property PACKAGE_PIN AB1 [get_ports {pcie_rx_n[0]}]
set_property PACKAGE_PIN AC5 [get_ports {pcie_tx_p[0]}]
set_property PACKAGE_PIN AC4 [get_ports {pcie_tx_n[0]}]
set_property PACKAGE_PIN AD2 [get_ports {pcie_rx_p[1]}]
set_property PACKAGE_PIN AD1 [get_ports {pcie_rx_n[1]}]
set_property PACKAGE_PIN AD7 [get_ports {pcie_tx_p[1]}]
set_property PACKAGE_PIN AD6 [get_ports {pcie_tx_n[1]}]
set_property PACKAGE_PIN AE4 [get_ports {pcie_rx_p[2]}]
set_property PACKAGE_PIN AE3 [get_ports {pcie_rx_n[2]}]
set_property PACKAGE_PIN AE9 [get_ports {pcie_tx_p[2]}]
set_property PACKAGE_PIN AE8 [get_ports {pcie_tx_n[2]}]
set_property PACKAGE_PIN AF2 [get_ports {pcie_rx_p[3]}]
set_property PACKAGE_PIN AF1 [get_ports {pcie_rx_n[3]}]
set_property PACKAGE_PIN AF7 [get_ports {pcie_tx_p[3]}]
set_property PACKAGE_PIN AF6 [get_ports {pcie_tx_n[3]}]
set_property PACKAGE_PIN H9 [get_ports {led[0]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[0]}]
set_property PACKAGE_PIN J9 [get_ports {led[1]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[1]}]
set_property PACKAGE_PIN G11 [get_ports {led[2]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[2]}]
set_property PACKAGE_PIN H11 [get_ports {led[3]}]
set_property IOSTANDARD LVCMOS33 [get_ports {led[3]}]

# These have no clock.
set_false_path -from [get_ports pcie_reset_n]
set_false_path -to [get_ports {led[*]}]
