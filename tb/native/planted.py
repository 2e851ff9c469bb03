"""A small endpoint with faults on demand, to test what watches endpoints.

It serves 1- and 2-dword memory reads and 1-dword writes with 3-dword headers of 16 registers at 128 bit.
A write to register 15 also leaves by the stream ``notification``; an item of ``interrupt_cause`` lands in
register 14. Register 0 holds the fault to commit, see `FAULTS`.
"""

import typing

#: Value of register 0: the rule that the next completions break.
FAULTS = {
    1: "gap inside a packet",
    2: "payload changed while waiting",
    3: "tkeep not legal",
    4: "length not as in the header",
    5: "valid withdrawn",
}


def _port(name: str, direction: str, width: int) -> dict[str, typing.Any]:
    return {"name": name, "direction": direction, "width": width, "doc": ""}


INTERFACE: dict[str, typing.Any] = {
    "module": "planted",
    "width": 128,
    "ports": [
        _port("clk", "input", 1), _port("rst", "input", 1), _port("rx_np_ok", "output", 1),
        _port("count_hole", "output", 16), _port("error_fatal", "output", 1),
    ],
    "streams": [
        {"name": "notification", "direction": "out", "doc": "",
         "fields": [
             {"name": "queue", "width": 16}, {"name": "stamp", "width": 64}, {"name": "wide", "width": 100},
         ]},
        {"name": "interrupt_cause", "direction": "in", "doc": "",
         "fields": [{"name": "function", "width": 8}, {"name": "address", "width": 64}]},
    ],
}

VERILOG = """
module planted(
    input clk, input rst, output rx_np_ok, output [15:0] count_hole, output error_fatal,
    input [127:0] s_axis_rx_tdata, input [15:0] s_axis_rx_tkeep, input s_axis_rx_tlast,
    input s_axis_rx_tvalid, output s_axis_rx_tready,
    output [127:0] m_axis_tx_tdata, output [15:0] m_axis_tx_tkeep, output m_axis_tx_tlast,
    output m_axis_tx_tvalid, input m_axis_tx_tready,
    output [15:0] be_notification_queue, output [63:0] be_notification_stamp,
    output [99:0] be_notification_wide,
    output be_notification_valid, input be_notification_ready,
    input [7:0] be_interrupt_cause_function, input [63:0] be_interrupt_cause_address,
    input be_interrupt_cause_valid, output be_interrupt_cause_ready
);
    reg [31:0] registers [0:15];
    reg [31:0] dw0, dw1, dw2;
    reg [1:0] left;         // beats to send
    reg pause, notify, waited;
    reg [15:0] writes;
    wire [3:0] index = s_axis_rx_tdata[69:66];
    wire two = dw0[1];
    wire [2:0] fault = registers[0][2:0];
    wire second = left == 1 && two;
    assign s_axis_rx_tready = left == 0 && !notify;
    assign rx_np_ok = 1;
    assign count_hole = writes;
    assign error_fatal = notify;
    assign m_axis_tx_tvalid = left != 0 && !pause && !(fault == 5 && waited);
    assign m_axis_tx_tlast = left == 1;
    assign m_axis_tx_tkeep = second ? (fault == 3 ? 16'h00F7 : fault == 4 ? 16'h00FF : 16'h000F) : 16'hFFFF;
    assign m_axis_tx_tdata = second ? {96'h0, registers[dw2[5:2] + 4'd1]} ^ (fault == 2 ? waited : 0)
        : {registers[dw2[5:2]], dw1[31:16], dw1[15:8], 1'b0, dw2[6:0], 16'h0100, 4'h0, 8'h0, two, !two, 2'b00,
           dw0 | 32'h4A000000} ^ (fault == 2 ? {waited, 96'h0} : 0);
    assign be_notification_queue = registers[15][15:0];
    assign be_notification_stamp = {registers[14], registers[15]};
    assign be_notification_wide = {registers[15][3:0], registers[13], registers[14], registers[15]};
    assign be_notification_valid = notify;
    assign be_interrupt_cause_ready = 1;
    integer i;
    always @(posedge clk) begin
        pause <= 0;
        waited <= m_axis_tx_tvalid && !m_axis_tx_tready;
        if (notify && be_notification_ready) notify <= 0;
        if (be_interrupt_cause_valid)
            registers[14] <= be_interrupt_cause_address[63:32] ^ be_interrupt_cause_address[31:0]
                ^ {24'h0, be_interrupt_cause_function};
        if (m_axis_tx_tvalid && m_axis_tx_tready) begin
            left <= left - 1;
            pause <= fault == 1;
        end
        if (s_axis_rx_tvalid && s_axis_rx_tready) begin
            {dw2, dw1, dw0} <= s_axis_rx_tdata[95:0];
            if (s_axis_rx_tdata[30]) begin
                registers[index] <= s_axis_rx_tdata[127:96];
                notify <= index == 15;
                writes <= writes + 1;
            end else
                left <= s_axis_rx_tdata[1] ? 2 : 1;
        end
        if (rst) begin
            left <= 0; pause <= 0; notify <= 0; waited <= 0; writes <= 0;
            for (i = 0; i < 16; i = i + 1) registers[i] <= 0;
        end
    end
endmodule
"""
