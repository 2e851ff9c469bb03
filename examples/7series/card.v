// A card with AMD's 7-series PCIe block and the core beside it: four lanes, streams of 128 bits.
//
//   vmmr generate examples/net-7series.toml -o build/net-7series
//
// makes virtio_mmr.v and the template that is included below. The block `pcie_7x_0` comes from Vivado, with the
// settings that docs/integration.md lists ("Beside your 7-series IP"); `pcie_7x_0.v` beside this file stands for it in
// lint. Ports of the block that the core uses have the same names on both sides; the others are tied here.

// The template has wires that a back end with less to say does not use or drive, and some of the block's ports are open.
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
/* verilator lint_off PINCONNECTEMPTY */
`default_nettype none

module card (
    input  wire       sys_clk_p,  // 100 MHz from the slot
    input  wire       sys_clk_n,
    input  wire       sys_rst_n,  // PERST#
    input  wire [3:0] pci_exp_rxp,
    input  wire [3:0] pci_exp_rxn,
    output wire [3:0] pci_exp_txp,
    output wire [3:0] pci_exp_txn
);
  wire sys_clk, clk, user_reset, user_lnk_up;

  IBUFDS_GTE2 refclk (
      .I    (sys_clk_p),
      .IB   (sys_clk_n),
      .CEB  (1'b0),
      .O    (sys_clk),
      .ODIV2()
  );

  // The core, and a wire for each of its ports.
  `include "virtio_mmr_template.v"

  // Reset while the link is down.
  reg in_reset;
  always @(posedge clk) in_reset <= user_reset || !user_lnk_up;
  assign rst = in_reset;

  // Your device goes here. This one takes everything, answers each reset and asks for nothing.
  assign be_driver_update_ready  = 1'b1;
  assign be_notification_ready   = 1'b1;
  assign be_queue_update_ready   = 1'b1;
  assign be_config_write_ready   = 1'b1;
  assign be_dma_read_data_ready  = 1'b1;
  assign be_dma_write_done_ready = 1'b1;
  assign be_reset_request_ready  = be_reset_done_ready;
  assign be_reset_done_valid     = be_reset_request_valid;
  assign be_reset_done_function  = be_reset_request_function;
  assign be_reset_done_epoch     = be_reset_request_epoch;
  assign be_queue_quiet_valid     = 1'b0;
  assign be_config_update_valid   = 1'b0;
  assign be_interrupt_cause_valid = 1'b0;
  assign be_fault_valid           = 1'b0;
  assign be_dma_read_valid        = 1'b0;
  assign be_dma_write_valid       = 1'b0;
  assign be_dma_write_data_valid  = 1'b0;

  // The host wants to cut the power: nothing here minds.
  wire cfg_to_turnoff;
  reg  turnoff_ok;
  always @(posedge clk) turnoff_ok <= cfg_to_turnoff;

  pcie_7x_0 pcie (
      .sys_clk       (sys_clk),
      .sys_rst_n     (sys_rst_n),
      .pci_exp_rxp   (pci_exp_rxp),
      .pci_exp_rxn   (pci_exp_rxn),
      .pci_exp_txp   (pci_exp_txp),
      .pci_exp_txn   (pci_exp_txn),
      .user_clk_out  (clk),
      .user_reset_out(user_reset),
      .user_lnk_up   (user_lnk_up),
      .user_app_rdy  (),

      // Packets.
      .m_axis_rx_tdata (m_axis_rx_tdata),
      .m_axis_rx_tkeep (m_axis_rx_tkeep),
      .m_axis_rx_tlast (m_axis_rx_tlast),
      .m_axis_rx_tuser (m_axis_rx_tuser),
      .m_axis_rx_tvalid(m_axis_rx_tvalid),
      .m_axis_rx_tready(m_axis_rx_tready),
      .rx_np_ok        (rx_np_ok),
      .rx_np_req       (1'b1),
      .s_axis_tx_tdata (s_axis_tx_tdata),
      .s_axis_tx_tkeep (s_axis_tx_tkeep),
      .s_axis_tx_tlast (s_axis_tx_tlast),
      .s_axis_tx_tuser (s_axis_tx_tuser),
      .s_axis_tx_tvalid(s_axis_tx_tvalid),
      .s_axis_tx_tready(s_axis_tx_tready),
      .tx_cfg_gnt      (1'b1),
      .tx_cfg_req      (),
      .tx_buf_av       (),
      .tx_err_drop     (),

      // What software has set.
      .cfg_command              (cfg_command),
      .cfg_dcommand             (cfg_dcommand),
      .cfg_lcommand             (cfg_lcommand),
      .cfg_pmcsr_powerstate     (cfg_pmcsr_powerstate),
      .cfg_bus_number           (cfg_bus_number),
      .cfg_device_number        (cfg_device_number),
      .cfg_function_number      (),
      .cfg_received_func_lvl_rst(cfg_received_func_lvl_rst),
      .cfg_status               (),
      .cfg_dstatus              (),
      .cfg_lstatus              (),
      .cfg_dcommand2            (),
      .cfg_pcie_link_state      (),
      .cfg_pmcsr_pme_en         (),
      .cfg_pmcsr_pme_status     (),
      .cfg_vc_tcvc_map          (),

      // Interrupts: INTA through the block, MSI-X messages through the stream.
      .cfg_interrupt               (cfg_interrupt),
      .cfg_interrupt_assert        (cfg_interrupt_assert),
      .cfg_interrupt_di            (cfg_interrupt_di),
      .cfg_interrupt_stat          (cfg_interrupt_stat),
      .cfg_interrupt_rdy           (cfg_interrupt_rdy),
      .cfg_interrupt_msixenable    (cfg_interrupt_msixenable),
      .cfg_interrupt_msixfm        (cfg_interrupt_msixfm),
      .cfg_interrupt_do            (),
      .cfg_interrupt_mmenable      (),
      .cfg_interrupt_msienable     (),
      .cfg_pciecap_interrupt_msgnum(5'd0),

      // Fixed: the serial number is that of the device file.
      .cfg_dsn              (64'h0000_0000_0000_0001),
      .cfg_to_turnoff       (cfg_to_turnoff),
      .cfg_turnoff_ok       (turnoff_ok),
      .cfg_trn_pending      (1'b0),
      .cfg_pm_halt_aspm_l0s (1'b0),
      .cfg_pm_halt_aspm_l1  (1'b0),
      .cfg_pm_force_state_en(1'b0),
      .cfg_pm_force_state   (2'd0),
      .cfg_pm_wake          (1'b0),
      .cfg_pm_send_pme_to   (1'b0),
      .cfg_ds_bus_number    (8'd0),
      .cfg_ds_device_number (5'd0),
      .cfg_ds_function_number(3'd0)
  );
endmodule

`default_nettype wire
