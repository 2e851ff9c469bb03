// Ports of AMD's `pcie_7x`, four lanes and 128 bits, with the optional groups of ports that docs/integration.md asks for,
// and of the reference clock's buffer. Nothing but names, directions and widths: for lint alone.
/* verilator lint_off UNDRIVEN */
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off DECLFILENAME */
module IBUFDS_GTE2 (input I, input IB, input CEB, output O, output ODIV2);
endmodule

module pcie_7x_0 (
    input sys_clk, input sys_rst_n,
    input [3:0] pci_exp_rxp, input [3:0] pci_exp_rxn, output [3:0] pci_exp_txp, output [3:0] pci_exp_txn,
    output user_clk_out, output user_reset_out, output user_lnk_up, output user_app_rdy,
    output [127:0] m_axis_rx_tdata, output [15:0] m_axis_rx_tkeep, output m_axis_rx_tlast,
    output [21:0] m_axis_rx_tuser, output m_axis_rx_tvalid, input m_axis_rx_tready, input rx_np_ok, input rx_np_req,
    input [127:0] s_axis_tx_tdata, input [15:0] s_axis_tx_tkeep, input s_axis_tx_tlast, input [3:0] s_axis_tx_tuser,
    input s_axis_tx_tvalid, output s_axis_tx_tready,
    input tx_cfg_gnt, output tx_cfg_req, output [5:0] tx_buf_av, output tx_err_drop,
    output [15:0] cfg_command, output [15:0] cfg_dcommand, output [15:0] cfg_lcommand, output [15:0] cfg_status,
    output [15:0] cfg_dstatus, output [15:0] cfg_lstatus, output [15:0] cfg_dcommand2,
    output [1:0] cfg_pmcsr_powerstate, output cfg_pmcsr_pme_en, output cfg_pmcsr_pme_status,
    output [2:0] cfg_pcie_link_state, output [6:0] cfg_vc_tcvc_map,
    output [7:0] cfg_bus_number, output [4:0] cfg_device_number, output [2:0] cfg_function_number,
    output cfg_received_func_lvl_rst,
    input cfg_interrupt, input cfg_interrupt_assert, input [7:0] cfg_interrupt_di, input cfg_interrupt_stat,
    output cfg_interrupt_rdy, output cfg_interrupt_msixenable, output cfg_interrupt_msixfm,
    output [7:0] cfg_interrupt_do, output [2:0] cfg_interrupt_mmenable, output cfg_interrupt_msienable,
    input [4:0] cfg_pciecap_interrupt_msgnum,
    input [63:0] cfg_dsn, output cfg_to_turnoff, input cfg_turnoff_ok, input cfg_trn_pending,
    input cfg_pm_halt_aspm_l0s, input cfg_pm_halt_aspm_l1, input cfg_pm_force_state_en, input [1:0] cfg_pm_force_state,
    input cfg_pm_wake, input cfg_pm_send_pme_to,
    input [7:0] cfg_ds_bus_number, input [4:0] cfg_ds_device_number, input [2:0] cfg_ds_function_number
);
endmodule
