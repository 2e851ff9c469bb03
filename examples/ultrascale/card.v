// A card with AMD's PCIE4 block and a virtio device: examples/net-ultrascale.toml.
//
// Every port of `virtio_mmr` toward the link has the name that it has on the IP. What the core does not need of the IP
// is tied off here. The back end at the end of the file only answers resets: put your own logic there.

`default_nettype none

module card (
    input  wire       sys_clk_p,
    input  wire       sys_clk_n,
    // PERST#, active low, from the slot.
    input  wire       sys_rst_n,
    output wire [3:0] pci_exp_txp,
    output wire [3:0] pci_exp_txn,
    input  wire [3:0] pci_exp_rxp,
    input  wire [3:0] pci_exp_rxn
);
    // --- Clock and reset ------------------------------------------------------------------------------------
    wire sys_clk, sys_clk_gt;
    IBUFDS_GTE4 refclk (.I(sys_clk_p), .IB(sys_clk_n), .CEB(1'b0), .O(sys_clk_gt), .ODIV2(sys_clk));
    // The IP gives both; user_reset is synchronous to user_clk and active high.
    wire user_clk, user_reset, user_lnk_up;

    // --- Streams --------------------------------------------------------------------------------------------
    wire [127:0] m_axis_cq_tdata, s_axis_cc_tdata, s_axis_rq_tdata, m_axis_rc_tdata;
    wire [3:0]   m_axis_cq_tkeep, s_axis_cc_tkeep, s_axis_rq_tkeep, m_axis_rc_tkeep;
    wire [87:0]  m_axis_cq_tuser;
    wire [32:0]  s_axis_cc_tuser;
    wire [61:0]  s_axis_rq_tuser;
    wire [74:0]  m_axis_rc_tuser;
    wire         m_axis_cq_tlast, s_axis_cc_tlast, s_axis_rq_tlast, m_axis_rc_tlast;
    wire         m_axis_cq_tvalid, s_axis_cc_tvalid, s_axis_rq_tvalid, m_axis_rc_tvalid;
    wire         m_axis_cq_tready, m_axis_rc_tready;
    wire [3:0]   s_axis_cc_tready, s_axis_rq_tready;
    wire [1:0]   pcie_cq_np_req;
    wire [5:0]   pcie_rq_seq_num0, pcie_rq_seq_num1;
    wire         pcie_rq_seq_num_vld0, pcie_rq_seq_num_vld1;
    wire [3:0]   pcie_tfc_nph_av;

    // --- Status and control ---------------------------------------------------------------------------------
    wire [1:0]   cfg_max_payload;
    wire [2:0]   cfg_max_read_req;
    wire [3:0]   cfg_rcb_status;
    wire [7:0]   cfg_bus_number;
    wire [15:0]  cfg_function_status;
    wire [11:0]  cfg_function_power_state;
    wire [503:0] cfg_vf_status;
    wire [755:0] cfg_vf_power_state;
    wire [3:0]   cfg_flr_in_process, cfg_flr_done;
    wire [251:0] cfg_vf_flr_in_process;
    wire [7:0]   cfg_vf_flr_func_num;
    wire         cfg_vf_flr_done;
    wire [3:0]   cfg_interrupt_int, cfg_interrupt_pending;
    wire         cfg_interrupt_sent;
    wire [3:0]   cfg_interrupt_msix_enable, cfg_interrupt_msix_mask;
    wire [251:0] cfg_interrupt_msix_vf_enable, cfg_interrupt_msix_vf_mask;
    wire         cfg_power_state_change_interrupt;
    wire         cfg_ext_read_received, cfg_ext_write_received, cfg_ext_read_data_valid;
    wire [9:0]   cfg_ext_register_number;
    wire [7:0]   cfg_ext_function_number;
    wire [31:0]  cfg_ext_write_data, cfg_ext_read_data;
    wire [3:0]   cfg_ext_write_byte_enable;

    pcie4_uscale_plus_0 pcie (
        .sys_clk(sys_clk), .sys_clk_gt(sys_clk_gt), .sys_reset(sys_rst_n),
        .pci_exp_txp(pci_exp_txp), .pci_exp_txn(pci_exp_txn), .pci_exp_rxp(pci_exp_rxp), .pci_exp_rxn(pci_exp_rxn),
        .user_clk(user_clk), .user_reset(user_reset), .user_lnk_up(user_lnk_up),

        .m_axis_cq_tdata(m_axis_cq_tdata), .m_axis_cq_tkeep(m_axis_cq_tkeep), .m_axis_cq_tuser(m_axis_cq_tuser),
        .m_axis_cq_tlast(m_axis_cq_tlast), .m_axis_cq_tvalid(m_axis_cq_tvalid), .m_axis_cq_tready(m_axis_cq_tready),
        .s_axis_cc_tdata(s_axis_cc_tdata), .s_axis_cc_tkeep(s_axis_cc_tkeep), .s_axis_cc_tuser(s_axis_cc_tuser),
        .s_axis_cc_tlast(s_axis_cc_tlast), .s_axis_cc_tvalid(s_axis_cc_tvalid), .s_axis_cc_tready(s_axis_cc_tready),
        .s_axis_rq_tdata(s_axis_rq_tdata), .s_axis_rq_tkeep(s_axis_rq_tkeep), .s_axis_rq_tuser(s_axis_rq_tuser),
        .s_axis_rq_tlast(s_axis_rq_tlast), .s_axis_rq_tvalid(s_axis_rq_tvalid), .s_axis_rq_tready(s_axis_rq_tready),
        .m_axis_rc_tdata(m_axis_rc_tdata), .m_axis_rc_tkeep(m_axis_rc_tkeep), .m_axis_rc_tuser(m_axis_rc_tuser),
        .m_axis_rc_tlast(m_axis_rc_tlast), .m_axis_rc_tvalid(m_axis_rc_tvalid), .m_axis_rc_tready(m_axis_rc_tready),
        .pcie_cq_np_req(pcie_cq_np_req),
        .pcie_rq_seq_num0(pcie_rq_seq_num0), .pcie_rq_seq_num_vld0(pcie_rq_seq_num_vld0),
        .pcie_rq_seq_num1(pcie_rq_seq_num1), .pcie_rq_seq_num_vld1(pcie_rq_seq_num_vld1),
        .pcie_tfc_nph_av(pcie_tfc_nph_av),

        .cfg_max_payload(cfg_max_payload), .cfg_max_read_req(cfg_max_read_req), .cfg_rcb_status(cfg_rcb_status),
        .cfg_bus_number(cfg_bus_number),
        .cfg_function_status(cfg_function_status), .cfg_function_power_state(cfg_function_power_state),
        .cfg_vf_status(cfg_vf_status), .cfg_vf_power_state(cfg_vf_power_state),
        .cfg_flr_in_process(cfg_flr_in_process), .cfg_flr_done(cfg_flr_done),
        .cfg_vf_flr_in_process(cfg_vf_flr_in_process), .cfg_vf_flr_func_num(cfg_vf_flr_func_num),
        .cfg_vf_flr_done(cfg_vf_flr_done),
        .cfg_interrupt_int(cfg_interrupt_int), .cfg_interrupt_pending(cfg_interrupt_pending),
        .cfg_interrupt_sent(cfg_interrupt_sent),
        .cfg_interrupt_msix_enable(cfg_interrupt_msix_enable), .cfg_interrupt_msix_mask(cfg_interrupt_msix_mask),
        .cfg_interrupt_msix_vf_enable(cfg_interrupt_msix_vf_enable),
        .cfg_interrupt_msix_vf_mask(cfg_interrupt_msix_vf_mask),
        .cfg_ext_read_received(cfg_ext_read_received), .cfg_ext_write_received(cfg_ext_write_received),
        .cfg_ext_register_number(cfg_ext_register_number), .cfg_ext_function_number(cfg_ext_function_number),
        .cfg_ext_write_data(cfg_ext_write_data), .cfg_ext_write_byte_enable(cfg_ext_write_byte_enable),
        .cfg_ext_read_data(cfg_ext_read_data), .cfg_ext_read_data_valid(cfg_ext_read_data_valid),

        // MSI-X messages are the core's own memory writes.
        .cfg_interrupt_msix_address(64'd0), .cfg_interrupt_msix_data(32'd0), .cfg_interrupt_msix_int(1'b0),
        .cfg_interrupt_msix_vec_pending(2'd0), .cfg_interrupt_msi_function_number(8'd0),
        // Every power state is taken at once: in D3hot the core is silent.
        .cfg_power_state_change_interrupt(cfg_power_state_change_interrupt),
        .cfg_power_state_change_ack(cfg_power_state_change_interrupt),
        .cfg_config_space_enable(1'b1), .cfg_link_training_enable(1'b1), .cfg_hot_reset_in(1'b0),
        .cfg_dsn(64'd0), .cfg_ds_bus_number(8'd0), .cfg_ds_device_number(5'd0), .cfg_ds_port_number(8'd0),
        .cfg_err_cor_in(1'b0), .cfg_err_uncor_in(1'b0), .cfg_req_pm_transition_l23_ready(1'b0),
        .cfg_pm_aspm_l1_entry_reject(1'b0), .cfg_pm_aspm_tx_l0s_entry_disable(1'b0),
        .cfg_msg_transmit(1'b0), .cfg_msg_transmit_type(3'd0), .cfg_msg_transmit_data(32'd0), .cfg_fc_sel(3'b100)
    );

    // --- The device -----------------------------------------------------------------------------------------
    // A reset of a function is told here, and answered at once.
    wire [7:0] reset_function;
    wire [1:0] reset_epoch;
    wire       reset_valid, reset_ready;

    /* verilator lint_off PINCONNECTEMPTY */
    virtio_mmr device (
        .clk(user_clk), .rst(user_reset | ~user_lnk_up),

        .m_axis_cq_tdata(m_axis_cq_tdata), .m_axis_cq_tkeep(m_axis_cq_tkeep), .m_axis_cq_tuser(m_axis_cq_tuser),
        .m_axis_cq_tlast(m_axis_cq_tlast), .m_axis_cq_tvalid(m_axis_cq_tvalid), .m_axis_cq_tready(m_axis_cq_tready),
        .s_axis_cc_tdata(s_axis_cc_tdata), .s_axis_cc_tkeep(s_axis_cc_tkeep), .s_axis_cc_tuser(s_axis_cc_tuser),
        .s_axis_cc_tlast(s_axis_cc_tlast), .s_axis_cc_tvalid(s_axis_cc_tvalid), .s_axis_cc_tready(s_axis_cc_tready),
        .s_axis_rq_tdata(s_axis_rq_tdata), .s_axis_rq_tkeep(s_axis_rq_tkeep), .s_axis_rq_tuser(s_axis_rq_tuser),
        .s_axis_rq_tlast(s_axis_rq_tlast), .s_axis_rq_tvalid(s_axis_rq_tvalid), .s_axis_rq_tready(s_axis_rq_tready),
        .m_axis_rc_tdata(m_axis_rc_tdata), .m_axis_rc_tkeep(m_axis_rc_tkeep), .m_axis_rc_tuser(m_axis_rc_tuser),
        .m_axis_rc_tlast(m_axis_rc_tlast), .m_axis_rc_tvalid(m_axis_rc_tvalid), .m_axis_rc_tready(m_axis_rc_tready),
        .pcie_cq_np_req(pcie_cq_np_req),
        .pcie_rq_seq_num0(pcie_rq_seq_num0), .pcie_rq_seq_num_vld0(pcie_rq_seq_num_vld0),
        .pcie_rq_seq_num1(pcie_rq_seq_num1), .pcie_rq_seq_num_vld1(pcie_rq_seq_num_vld1),
        .pcie_tfc_nph_av(pcie_tfc_nph_av),

        // The IP does not show Extended Tag Field Enable: 32 reads in flight are always allowed.
        .extended_tag(1'b0),
        .cfg_max_payload(cfg_max_payload), .cfg_max_read_req(cfg_max_read_req), .cfg_rcb_status(cfg_rcb_status),
        .cfg_bus_number(cfg_bus_number),
        .cfg_function_status(cfg_function_status), .cfg_function_power_state(cfg_function_power_state),
        .cfg_vf_status(cfg_vf_status), .cfg_vf_power_state(cfg_vf_power_state),
        .cfg_flr_in_process(cfg_flr_in_process), .cfg_flr_done(cfg_flr_done),
        .cfg_vf_flr_in_process(cfg_vf_flr_in_process), .cfg_vf_flr_func_num(cfg_vf_flr_func_num),
        .cfg_vf_flr_done(cfg_vf_flr_done),
        .cfg_interrupt_int(cfg_interrupt_int), .cfg_interrupt_pending(cfg_interrupt_pending),
        .cfg_interrupt_sent(cfg_interrupt_sent),
        .cfg_interrupt_msix_enable(cfg_interrupt_msix_enable), .cfg_interrupt_msix_mask(cfg_interrupt_msix_mask),
        .cfg_interrupt_msix_vf_enable(cfg_interrupt_msix_vf_enable),
        .cfg_interrupt_msix_vf_mask(cfg_interrupt_msix_vf_mask),
        .cfg_ext_read_received(cfg_ext_read_received), .cfg_ext_write_received(cfg_ext_write_received),
        .cfg_ext_register_number(cfg_ext_register_number), .cfg_ext_function_number(cfg_ext_function_number),
        .cfg_ext_write_data(cfg_ext_write_data), .cfg_ext_write_byte_enable(cfg_ext_write_byte_enable),
        .cfg_ext_read_data(cfg_ext_read_data), .cfg_ext_read_data_valid(cfg_ext_read_data_valid),

        // The back end. It takes everything, answers each reset, and asks for nothing.
        .be_driver_update_function(), .be_driver_update_event(), .be_driver_update_epoch(),
        .be_driver_update_features(), .be_driver_update_legacy(), .be_driver_update_big_endian(),
        .be_driver_update_driver_ok(), .be_driver_update_valid(), .be_driver_update_ready(1'b1),
        .be_notification_function(), .be_notification_queue(), .be_notification_row(), .be_notification_extra(),
        .be_notification_legacy(), .be_notification_valid(), .be_notification_ready(1'b1),
        .be_queue_update_function(), .be_queue_update_queue(), .be_queue_update_row(), .be_queue_update_change(),
        .be_queue_update_size(), .be_queue_update_descriptors(), .be_queue_update_available(),
        .be_queue_update_used(), .be_queue_update_first_available(), .be_queue_update_first_used(),
        .be_queue_update_vector_valid(), .be_queue_update_valid(), .be_queue_update_ready(1'b1),
        .be_reset_request_function(reset_function), .be_reset_request_epoch(reset_epoch), .be_reset_request_cause(),
        .be_reset_request_valid(reset_valid), .be_reset_request_ready(reset_ready),
        .be_config_write_function(), .be_config_write_offset(), .be_config_write_data(), .be_config_write_strobe(),
        .be_config_write_valid(), .be_config_write_ready(1'b1),
        .be_dma_read_data_owner(), .be_dma_read_data_context(), .be_dma_read_data_data(), .be_dma_read_data_bytes(),
        .be_dma_read_data_last(), .be_dma_read_data_status(), .be_dma_read_data_valid(),
        .be_dma_read_data_ready(1'b1),
        .be_dma_write_done_context(), .be_dma_write_done_status(), .be_dma_write_done_valid(),
        .be_dma_write_done_ready(1'b1),
        .be_queue_quiet_function(8'd0), .be_queue_quiet_queue(16'd0), .be_queue_quiet_valid(1'b0),
        .be_queue_quiet_ready(),
        .be_reset_done_function(reset_function), .be_reset_done_epoch(reset_epoch),
        .be_reset_done_valid(reset_valid), .be_reset_done_ready(reset_ready),
        .be_config_update_function(8'd0), .be_config_update_offset(8'd0), .be_config_update_data(32'd0),
        .be_config_update_strobe(4'd0), .be_config_update_last(1'd0), .be_config_update_valid(1'b0),
        .be_config_update_ready(),
        .be_interrupt_cause_function(8'd0), .be_interrupt_cause_epoch(2'd0), .be_interrupt_cause_queue(16'd0),
        .be_interrupt_cause_config_change(1'd0), .be_interrupt_cause_valid(1'b0), .be_interrupt_cause_ready(),
        .be_fault_function(8'd0), .be_fault_epoch(2'd0), .be_fault_queue(16'd0), .be_fault_cause(4'd0),
        .be_fault_valid(1'b0), .be_fault_ready(),
        .be_dma_read_function(8'd0), .be_dma_read_epoch(2'd0), .be_dma_read_address(64'd0),
        .be_dma_read_bytes(13'd0), .be_dma_read_owner(3'd0), .be_dma_read_context(16'd0), .be_dma_read_valid(1'b0),
        .be_dma_read_ready(),
        .be_dma_write_function(8'd0), .be_dma_write_epoch(2'd0), .be_dma_write_address(64'd0),
        .be_dma_write_bytes(13'd0), .be_dma_write_context(16'd0), .be_dma_write_report(1'd0),
        .be_dma_write_valid(1'b0), .be_dma_write_ready(),
        .be_dma_write_data_data(128'd0), .be_dma_write_data_bytes(5'd0), .be_dma_write_data_last(1'd0),
        .be_dma_write_data_valid(1'b0), .be_dma_write_data_ready(),
        .count_malformed(), .count_poisoned(), .count_unsupported(), .count_unexpected(), .count_hole(),
        .error_correctable(), .error_nonfatal(), .error_fatal()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule

`default_nettype wire
