"""`pcie4_uscale_plus` 1.3 and `pcie4c_uscale_plus` 1.0: the blocks of UltraScale+, with four descriptor streams.

Ports are those of generated instances in published designs (component declarations of two of them agree), with the
switches that `SWITCHES` sets; parameters are those that published Tcl sets. Both cores have the same names.
"""

from .core import Ip, table

#: Choices that decide which ports there are.
SWITCHES = {
    "ext_pcie_cfg_space_enabled": "true",
    "cfg_ctl_if": "true",
    "cfg_fc_if": "true",
    "cfg_mgmt_if": "true",
    "cfg_pm_if": "true",
    "cfg_status_if": "true",
    "cfg_tx_msg_if": "true",
    "rcv_msg_if": "true",
    "tx_fc_if": "true",
}

#: tuser bits of CQ, CC, RQ and RC.
_USER = {64: (88, 33, 62, 75), 128: (88, 33, 62, 75), 256: (88, 33, 62, 75), 512: (183, 81, 137, 161)}

_PORTS = """
out pci_exp_txp[LANES] pci_exp_txn[LANES]
in pci_exp_rxp[LANES] pci_exp_rxn[LANES]
in sys_clk sys_clk_gt sys_reset
out user_clk user_reset user_lnk_up phy_rdy_out
in s_axis_rq_tdata[DATA] s_axis_rq_tkeep[WORDS] s_axis_rq_tlast s_axis_rq_tuser[RQ] s_axis_rq_tvalid
out s_axis_rq_tready[4]
out m_axis_rc_tdata[DATA] m_axis_rc_tkeep[WORDS] m_axis_rc_tlast m_axis_rc_tuser[RC] m_axis_rc_tvalid
in m_axis_rc_tready
out m_axis_cq_tdata[DATA] m_axis_cq_tkeep[WORDS] m_axis_cq_tlast m_axis_cq_tuser[CQ] m_axis_cq_tvalid
in m_axis_cq_tready pcie_cq_np_req[2]
in s_axis_cc_tdata[DATA] s_axis_cc_tkeep[WORDS] s_axis_cc_tlast s_axis_cc_tuser[CC] s_axis_cc_tvalid
out s_axis_cc_tready[4] pcie_cq_np_req_count[6]
out pcie_rq_seq_num0[6] pcie_rq_seq_num_vld0 pcie_rq_seq_num1[6] pcie_rq_seq_num_vld1 pcie_rq_tag0[8] pcie_rq_tag1[8]
out pcie_rq_tag_av[4] pcie_rq_tag_vld0 pcie_rq_tag_vld1 pcie_tfc_nph_av[4] pcie_tfc_npd_av[4]
out cfg_phy_link_down cfg_phy_link_status[2] cfg_negotiated_width[3] cfg_current_speed[2] cfg_max_payload[2]
out cfg_max_read_req[3] cfg_function_status[16] cfg_function_power_state[12] cfg_vf_status[504]
out cfg_vf_power_state[756] cfg_link_power_state[2]
in cfg_mgmt_addr[10] cfg_mgmt_function_number[8] cfg_mgmt_write cfg_mgmt_write_data[32] cfg_mgmt_byte_enable[4]
in cfg_mgmt_read cfg_mgmt_debug_access
out cfg_mgmt_read_data[32] cfg_mgmt_read_write_done
out cfg_err_cor_out cfg_err_nonfatal_out cfg_err_fatal_out cfg_local_error_valid cfg_local_error_out[5]
out cfg_ltssm_state[6] cfg_rx_pm_state[2] cfg_tx_pm_state[2] cfg_rcb_status[4] cfg_obff_enable[2] cfg_pl_status_change
out cfg_tph_requester_enable[4] cfg_tph_st_mode[12] cfg_vf_tph_requester_enable[252] cfg_vf_tph_st_mode[756]
out cfg_msg_received cfg_msg_received_data[8] cfg_msg_received_type[5] cfg_msg_transmit_done
in cfg_msg_transmit cfg_msg_transmit_type[3] cfg_msg_transmit_data[32]
out cfg_fc_ph[8] cfg_fc_pd[12] cfg_fc_nph[8] cfg_fc_npd[12] cfg_fc_cplh[8] cfg_fc_cpld[12]
in cfg_fc_sel[3] cfg_dsn[64] cfg_power_state_change_ack cfg_err_cor_in cfg_err_uncor_in
out cfg_bus_number[8] cfg_power_state_change_interrupt cfg_flr_in_process[4] cfg_vf_flr_in_process[252]
in cfg_flr_done[4] cfg_vf_flr_func_num[8] cfg_vf_flr_done[1] cfg_link_training_enable
out cfg_ext_read_received cfg_ext_write_received cfg_ext_register_number[10] cfg_ext_function_number[8]
out cfg_ext_write_data[32] cfg_ext_write_byte_enable[4]
in cfg_ext_read_data[32] cfg_ext_read_data_valid
in cfg_interrupt_int[4] cfg_interrupt_pending[4]
out cfg_interrupt_sent cfg_interrupt_msi_sent cfg_interrupt_msi_fail
in cfg_interrupt_msi_function_number[8]
out cfg_interrupt_msix_enable[4] cfg_interrupt_msix_mask[4] cfg_interrupt_msix_vf_enable[252]
out cfg_interrupt_msix_vf_mask[252] cfg_interrupt_msix_vec_pending_status
in cfg_interrupt_msix_address[64] cfg_interrupt_msix_data[32] cfg_interrupt_msix_int
in cfg_interrupt_msix_vec_pending[2]
in cfg_pm_aspm_l1_entry_reject cfg_pm_aspm_tx_l0s_entry_disable cfg_config_space_enable
in cfg_req_pm_transition_l23_ready cfg_hot_reset_in cfg_ds_port_number[8] cfg_ds_bus_number[8] cfg_ds_device_number[5]
out cfg_hot_reset_out
"""

_BARS = frozenset(
    f"pf0_{kind}bar{number}_{what}" for kind in ("", "sriov_") for number in range(6)
    for what in ("enabled", "type", "64bit", "prefetchable", "scale", "size"))

_GROUPS = frozenset(
    f"{owner}_MSIX_CAP_{part}" for owner in ("PF0", "VFG0") for part in (
        "TABLE_SIZE", "TABLE_BIR", "TABLE_OFFSET", "PBA_BIR", "PBA_OFFSET"))

PARAMETERS = _BARS | _GROUPS | frozenset("""
PL_LINK_CAP_MAX_LINK_SPEED PL_LINK_CAP_MAX_LINK_WIDTH PL_DISABLE_LANE_REVERSAL DEVICE_PORT_TYPE axisten_if_width
axisten_freq coreclk_freq plltype mode_selection en_gt_selection select_quad pcie_blk_locn AXISTEN_IF_RC_STRADDLE
AXISTEN_IF_EXT_512_CQ_STRADDLE AXISTEN_IF_EXT_512_CC_STRADDLE AXISTEN_IF_EXT_512_RQ_STRADDLE
AXISTEN_IF_EXT_512_RC_4TLP_STRADDLE axisten_if_enable_client_tag axisten_if_enable_msg_route extended_tag_field
vendor_id PF0_DEVICE_ID PF0_REVISION_ID PF0_SUBSYSTEM_VENDOR_ID PF0_SUBSYSTEM_ID PF0_Use_Class_Code_Lookup_Assistant
PF0_CLASS_CODE pf0_class_code_base pf0_class_code_sub pf0_class_code_interface pf0_base_class_menu
pf0_sub_class_interface_menu ext_pcie_cfg_space_enabled legacy_ext_pcie_cfg_space_enabled pf0_msi_enabled
pf0_msix_enabled MSI_X_OPTIONS msix_type SRIOV_CAP_ENABLE SRIOV_FIRST_VF_OFFSET PF0_SRIOV_FIRST_VF_OFFSET
PF0_SRIOV_CAP_INITIAL_VF PF0_SRIOV_VF_DEVICE_ID PF0_SRIOV_SUPPORTED_PAGE_SIZE PF0_SRIOV_FUNC_DEP_LINK
pf0_ari_enabled pf0_dev_cap_max_payload pf0_dsn_enabled PF0_INTERRUPT_PIN cfg_mgmt_if rcv_msg_if
tx_fc_if cfg_fc_if cfg_status_if cfg_ctl_if cfg_pm_if cfg_tx_msg_if
""".split())

_TIES = {
    "pcie_cq_np_req": "2'b11", "cfg_config_space_enable": "1'b1", "cfg_link_training_enable": "1'b1",
    "cfg_power_state_change_ack": "cfg_power_state_change_interrupt", "cfg_fc_sel": "3'b100",
    **{name: "0" for name in (
        "cfg_mgmt_addr", "cfg_mgmt_function_number", "cfg_mgmt_write", "cfg_mgmt_write_data", "cfg_mgmt_byte_enable",
        "cfg_mgmt_read", "cfg_mgmt_debug_access", "cfg_msg_transmit", "cfg_msg_transmit_type",
        "cfg_msg_transmit_data", "cfg_dsn", "cfg_err_cor_in", "cfg_err_uncor_in", "cfg_flr_done",
        "cfg_vf_flr_func_num", "cfg_vf_flr_done", "cfg_ext_read_data", "cfg_ext_read_data_valid",
        "cfg_interrupt_int", "cfg_interrupt_pending", "cfg_interrupt_msi_function_number",
        "cfg_interrupt_msix_address", "cfg_interrupt_msix_data", "cfg_interrupt_msix_int",
        "cfg_interrupt_msix_vec_pending", "cfg_pm_aspm_l1_entry_reject", "cfg_pm_aspm_tx_l0s_entry_disable",
        "cfg_req_pm_transition_l23_ready", "cfg_hot_reset_in", "cfg_ds_port_number", "cfg_ds_bus_number",
        "cfg_ds_device_number")},
}


def uscale_plus(name: str, lanes: int, width: int) -> Ip:
    """The core called *name* with *lanes* lanes and streams of *width* bits."""
    cq, cc, rq, rc = _USER[width]
    return Ip(
        name=name, module=f"{name}_0",
        ports=table(_PORTS, LANES=lanes, DATA=width, WORDS=width // 32, CQ=cq, CC=cc, RQ=rq, RC=rc),
        parameters=PARAMETERS, ties=_TIES, clock="user_clk", reset="user_reset",
    )
