// Ports of the IP pcie4_uscale_plus that card.v connects, for linting without Vivado: Gen3 x4, 128 bits, SR-IOV.
// In a project the generated IP takes its place.

/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
/* verilator lint_off DECLFILENAME */
`default_nettype none

module pcie4_uscale_plus_0 (
    input  wire         sys_clk, sys_clk_gt, sys_reset,
    output wire [3:0]   pci_exp_txp, pci_exp_txn,
    input  wire [3:0]   pci_exp_rxp, pci_exp_rxn,
    output wire         user_clk, user_reset, user_lnk_up,

    output wire [127:0] m_axis_cq_tdata,
    output wire [3:0]   m_axis_cq_tkeep,
    output wire [87:0]  m_axis_cq_tuser,
    output wire         m_axis_cq_tlast, m_axis_cq_tvalid,
    input  wire         m_axis_cq_tready,
    input  wire [127:0] s_axis_cc_tdata,
    input  wire [3:0]   s_axis_cc_tkeep,
    input  wire [32:0]  s_axis_cc_tuser,
    input  wire         s_axis_cc_tlast, s_axis_cc_tvalid,
    output wire [3:0]   s_axis_cc_tready,
    input  wire [127:0] s_axis_rq_tdata,
    input  wire [3:0]   s_axis_rq_tkeep,
    input  wire [61:0]  s_axis_rq_tuser,
    input  wire         s_axis_rq_tlast, s_axis_rq_tvalid,
    output wire [3:0]   s_axis_rq_tready,
    output wire [127:0] m_axis_rc_tdata,
    output wire [3:0]   m_axis_rc_tkeep,
    output wire [74:0]  m_axis_rc_tuser,
    output wire         m_axis_rc_tlast, m_axis_rc_tvalid,
    input  wire         m_axis_rc_tready,
    input  wire [1:0]   pcie_cq_np_req,
    output wire [5:0]   pcie_rq_seq_num0, pcie_rq_seq_num1,
    output wire         pcie_rq_seq_num_vld0, pcie_rq_seq_num_vld1,
    output wire [3:0]   pcie_tfc_nph_av,

    output wire [1:0]   cfg_max_payload,
    output wire [2:0]   cfg_max_read_req,
    output wire [3:0]   cfg_rcb_status,
    output wire [7:0]   cfg_bus_number,
    output wire [15:0]  cfg_function_status,
    output wire [11:0]  cfg_function_power_state,
    output wire [503:0] cfg_vf_status,
    output wire [755:0] cfg_vf_power_state,
    output wire [3:0]   cfg_flr_in_process,
    input  wire [3:0]   cfg_flr_done,
    output wire [251:0] cfg_vf_flr_in_process,
    input  wire [7:0]   cfg_vf_flr_func_num,
    input  wire         cfg_vf_flr_done,
    input  wire [3:0]   cfg_interrupt_int, cfg_interrupt_pending,
    output wire         cfg_interrupt_sent,
    output wire [3:0]   cfg_interrupt_msix_enable, cfg_interrupt_msix_mask,
    output wire [251:0] cfg_interrupt_msix_vf_enable, cfg_interrupt_msix_vf_mask,
    input  wire [63:0]  cfg_interrupt_msix_address,
    input  wire [31:0]  cfg_interrupt_msix_data,
    input  wire         cfg_interrupt_msix_int,
    input  wire [1:0]   cfg_interrupt_msix_vec_pending,
    input  wire [7:0]   cfg_interrupt_msi_function_number,
    output wire         cfg_ext_read_received, cfg_ext_write_received,
    output wire [9:0]   cfg_ext_register_number,
    output wire [7:0]   cfg_ext_function_number,
    output wire [31:0]  cfg_ext_write_data,
    output wire [3:0]   cfg_ext_write_byte_enable,
    input  wire [31:0]  cfg_ext_read_data,
    input  wire         cfg_ext_read_data_valid,
    output wire         cfg_power_state_change_interrupt,
    input  wire         cfg_power_state_change_ack,
    input  wire         cfg_config_space_enable, cfg_link_training_enable, cfg_hot_reset_in,
    input  wire [63:0]  cfg_dsn,
    input  wire [7:0]   cfg_ds_bus_number, cfg_ds_port_number,
    input  wire [4:0]   cfg_ds_device_number,
    input  wire         cfg_err_cor_in, cfg_err_uncor_in, cfg_req_pm_transition_l23_ready,
    input  wire         cfg_pm_aspm_l1_entry_reject, cfg_pm_aspm_tx_l0s_entry_disable,
    input  wire         cfg_msg_transmit,
    input  wire [2:0]   cfg_msg_transmit_type,
    input  wire [31:0]  cfg_msg_transmit_data,
    input  wire [2:0]   cfg_fc_sel
);
endmodule

// The primitive that divides the reference clock.
module IBUFDS_GTE4 (input wire I, IB, CEB, output wire O, ODIV2);
endmodule

`default_nettype wire
