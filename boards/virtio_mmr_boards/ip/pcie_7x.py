"""`pcie_7x` 3.3: the block of the 7 series, with raw TLPs on two streams.

Ports and parameters are those of generated instances in published designs (``boundary`` and
``component_parameters`` of their XCI files), with the switches that `SWITCHES` sets.
"""

from .core import Ip, table

#: Choices that decide which ports there are.
SWITCHES = {
    "en_ext_clk": "false",
    "en_ext_gt_common": "false",
    "shared_logic_in_core": "false",
    "cfg_mgmt_if": "true",
    "cfg_ctl_if": "true",
    "cfg_status_if": "true",
    "pl_interface": "true",
    "PCIe_Debug_Ports": "true",
    "rcv_msg_if": "false",
    "cfg_fc_if": "false",
    "err_reporting_if": "false",
}

_PORTS = """
out pci_exp_txp[LANES] pci_exp_txn[LANES]
in pci_exp_rxp[LANES] pci_exp_rxn[LANES]
in sys_clk sys_rst_n
out user_clk_out user_reset_out user_lnk_up user_app_rdy
out tx_buf_av[6] tx_cfg_req tx_err_drop s_axis_tx_tready
in s_axis_tx_tdata[DATA] s_axis_tx_tkeep[BYTES] s_axis_tx_tlast s_axis_tx_tvalid s_axis_tx_tuser[4] tx_cfg_gnt
out m_axis_rx_tdata[DATA] m_axis_rx_tkeep[BYTES] m_axis_rx_tlast m_axis_rx_tvalid m_axis_rx_tuser[22]
in m_axis_rx_tready rx_np_ok rx_np_req
out cfg_mgmt_do[32] cfg_mgmt_rd_wr_done
in cfg_mgmt_di[32] cfg_mgmt_byte_en[4] cfg_mgmt_dwaddr[10] cfg_mgmt_wr_en cfg_mgmt_rd_en
in cfg_mgmt_wr_readonly cfg_mgmt_wr_rw1c_as_rw
out cfg_status[16] cfg_command[16] cfg_dstatus[16] cfg_dcommand[16] cfg_lstatus[16] cfg_lcommand[16] cfg_dcommand2[16]
out cfg_pcie_link_state[3] cfg_pmcsr_pme_en cfg_pmcsr_powerstate[2] cfg_pmcsr_pme_status cfg_received_func_lvl_rst
in cfg_trn_pending cfg_pm_halt_aspm_l0s cfg_pm_halt_aspm_l1 cfg_pm_force_state_en cfg_pm_force_state[2] cfg_dsn[64]
in cfg_interrupt cfg_interrupt_assert cfg_interrupt_di[8] cfg_interrupt_stat cfg_pciecap_interrupt_msgnum[5]
out cfg_interrupt_rdy cfg_interrupt_do[8] cfg_interrupt_mmenable[3] cfg_interrupt_msienable
out cfg_interrupt_msixenable cfg_interrupt_msixfm cfg_to_turnoff
in cfg_turnoff_ok cfg_pm_wake cfg_pm_send_pme_to
out cfg_bus_number[8] cfg_device_number[5] cfg_function_number[3]
in cfg_ds_bus_number[8] cfg_ds_device_number[5] cfg_ds_function_number[3]
out cfg_bridge_serr_en cfg_slot_control_electromech_il_ctl_pulse cfg_root_control_syserr_corr_err_en
out cfg_root_control_syserr_non_fatal_err_en cfg_root_control_syserr_fatal_err_en cfg_root_control_pme_int_en
out cfg_aer_rooterr_corr_err_reporting_en cfg_aer_rooterr_non_fatal_err_reporting_en
out cfg_aer_rooterr_fatal_err_reporting_en cfg_aer_rooterr_corr_err_received
out cfg_aer_rooterr_non_fatal_err_received cfg_aer_rooterr_fatal_err_received cfg_vc_tcvc_map[7]
in pl_directed_link_change[2] pl_directed_link_width[2] pl_directed_link_speed pl_directed_link_auton
in pl_upstream_prefer_deemph pl_transmit_hot_rst pl_downstream_deemph_source
out pl_sel_lnk_rate pl_sel_lnk_width[2] pl_ltssm_state[6] pl_lane_reversal_mode[2] pl_phy_lnk_up pl_tx_pm_state[3]
out pl_rx_pm_state[2] pl_link_upcfg_cap pl_link_gen2_cap pl_link_partner_gen2_supported pl_initial_link_width[3]
out pl_directed_change_done pl_received_hot_rst
in pcie_drp_clk pcie_drp_en pcie_drp_we pcie_drp_addr[9] pcie_drp_di[16]
out pcie_drp_do[16] pcie_drp_rdy
"""

_BARS = frozenset(
    f"Bar{number}_{what}" for number in range(6)
    for what in ("Enabled", "Type", "64bit", "Prefetchable", "Scale", "Size") if (number, what) != (5, "64bit"))

PARAMETERS = _BARS | frozenset("""
mode_selection pcie_id_if Use_Class_Code_Lookup_Assistant Component_Name Device_Port_Type Maximum_Link_Width
Link_Speed Interface_Width User_Clk_Freq Expansion_Rom_Enabled Expansion_Rom_Scale Expansion_Rom_Size
IO_Base_Limit_Registers Prefetchable_Memory_Base_Limit_Registers Vendor_ID Device_ID Revision_ID Subsystem_Vendor_ID
Subsystem_ID Class_Code_Base Class_Code_Sub Class_Code_Interface Base_Class_Menu Sub_Class_Interface_Menu
Cardbus_CIS_Pointer PCIe_Cap_Slot_Implemented Max_Payload_Size Extended_Tag_Field Extended_Tag_Default
Phantom_Functions Acceptable_L0s_Latency Acceptable_L1_Latency Cpl_Finite Cpl_Timeout_Disable_Sup Cpl_Timeout_Range
Buf_Opt_BMA Perf_Level Dll_Link_Active_Cap RCB Trgt_Link_Speed Hw_Auton_Spd_Disable De_emph Enable_Slot_Clock_Cfg
IntX_Generation Legacy_Interrupt MSI_Enabled MSI_64b Multiple_Message_Capable MSI_Vec_Mask MSIx_Enabled
MSIx_Table_Size MSIx_Table_Offset MSIx_Table_BIR MSIx_PBA_Offset MSIx_PBA_BIR Device_Specific_Initialization
D1_Support D2_Support D0_PME_Support D1_PME_Support D2_PME_Support D3hot_PME_Support D3cold_PME_Support
No_Soft_Reset DSN_Enabled VC_Cap_Enabled VC_Cap_Reject_Snoop VSEC_Enabled PCI_CFG_Space PCI_CFG_Space_Addr
EXT_PCI_CFG_Space EXT_PCI_CFG_Space_Addr Xlnx_Ref_Board PCIe_Blk_Locn Trans_Buf_Pipeline Receive_NP_Request
Enable_Lane_Reversal Upconfigure_Capable Force_No_Scrambling Disable_Tx_ASPM_L0s UR_INV_REQ UR_PRS_RESPONSE
Silicon_Rev Pcie_fast_config PCIe_Debug_Ports Ref_Clk_Freq Cost_Table UR_Atomic AER_Enabled
Optional_Error_Support RBAR_Enabled RBAR_Num RECRC_Check Disable_Rx_Poisoned_Resp pipe_sim en_ext_clk
en_ext_gt_common en_ext_ch_gt_drp en_transceiver_status_ports shared_logic_in_core pl_interface cfg_mgmt_if cfg_ctl_if
cfg_status_if rcv_msg_if cfg_fc_if err_reporting_if USE_BOARD_FLOW RESET_BOARD_INTERFACE en_ext_pipe_interface
en_ext_startup pipe_mode_sim enable_jtag_dbg reduce_oob_freq
""".split())

_TIES = {
    "tx_cfg_gnt": "1'b1", "rx_np_req": "1'b1", "rx_np_ok": "1'b1", "pl_upstream_prefer_deemph": "1'b1",
    "cfg_turnoff_ok": "cfg_to_turnoff", "pcie_drp_clk": "user_clk_out",
    **{name: "0" for name in (
        "s_axis_tx_tuser", "cfg_mgmt_di", "cfg_mgmt_byte_en", "cfg_mgmt_dwaddr", "cfg_mgmt_wr_en", "cfg_mgmt_rd_en",
        "cfg_mgmt_wr_readonly", "cfg_mgmt_wr_rw1c_as_rw", "cfg_trn_pending", "cfg_pm_halt_aspm_l0s",
        "cfg_pm_halt_aspm_l1", "cfg_pm_force_state_en", "cfg_pm_force_state", "cfg_dsn", "cfg_interrupt",
        "cfg_interrupt_assert", "cfg_interrupt_di", "cfg_interrupt_stat", "cfg_pciecap_interrupt_msgnum",
        "cfg_pm_wake", "cfg_pm_send_pme_to", "cfg_ds_bus_number", "cfg_ds_device_number", "cfg_ds_function_number",
        "pl_directed_link_change", "pl_directed_link_width", "pl_directed_link_speed", "pl_directed_link_auton",
        "pl_transmit_hot_rst", "pl_downstream_deemph_source", "pcie_drp_en", "pcie_drp_we", "pcie_drp_addr",
        "pcie_drp_di")},
}


def pcie_7x(lanes: int, width: int) -> Ip:
    """The core with *lanes* lanes and streams of *width* bits."""
    return Ip(
        name="pcie_7x", module="pcie_7x_0", ports=table(_PORTS, LANES=lanes, DATA=width, BYTES=width // 8),
        parameters=PARAMETERS, ties=_TIES, clock="user_clk_out", reset="user_reset_out",
    )
