// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 LiteNorm contributors
//
// Three rows of 16 elements from a ROM through the core: two of softmax, one of LayerNorm. Results leave by `result`.
//
//     litenorm verilog --bus axi --lanes 4 --max-length 64 -o rtl
//     iverilog -g2005 -I rtl rtl/litenorm_axi.v litenorm_example.v
//
// A master writes the parameters of a row, and then its beats are sent: the core takes the parameters with the first of
// them, so that those of the next row may be written as soon as that beat was taken.

module litenorm_example (
    input  wire        clk,
    input  wire        rst_n,
    output wire [63:0] result,          // 4 lanes of 16 bits, lane 0 in the low bits
    output wire        result_valid,
    output wire        result_last,     // of a row
    input  wire        result_ready,
    output wire        done,            // all rows were sent
    output reg         error            // a register was not there, or the core reports an error (irq)
);

`include "litenorm_axi.vh"

// What is done, step by step: {send a row, byte offset, data}; with `send`, data is the number of the row.
localparam STEPS = 13;
reg [40:0] step;
reg [3:0] at;
always @(*) begin
    case (at)
        0:  step = {1'b0, LITENORM_AXI_INTERRUPT_ENABLE[7:0], LITENORM_AXI_STATUS_ROW_ERROR_MASK
                    | LITENORM_AXI_STATUS_BAD_PARAMS_MASK | LITENORM_AXI_STATUS_BAD_ROW_MASK};
        1:  step = {1'b0, LITENORM_AXI_OP[7:0], LITENORM_AXI_OP_SOFTMAX};
        2:  step = {1'b0, LITENORM_AXI_FORMAT[7:0], LITENORM_AXI_FORMAT_U16_Q15};
        3:  step = {1'b0, LITENORM_AXI_LENGTH[7:0], 32'd16};
        4:  step = {1'b0, LITENORM_AXI_SCALE_MULTIPLIER[7:0], 32'd60511};   // one LSB is 0.01: Scale.from_real(0.01)
        5:  step = {1'b0, LITENORM_AXI_SCALE_SHIFT[7:0], 32'd13};
        6:  step = {1'b1, 8'd0, 32'd0};
        7:  step = {1'b1, 8'd0, 32'd1};
        8:  step = {1'b0, LITENORM_AXI_OP[7:0], LITENORM_AXI_OP_LAYERNORM};
        9:  step = {1'b0, LITENORM_AXI_EPS_LOW[7:0], 32'd256};              // eps 1: 1 * 16 * 16
        10: step = {1'b0, LITENORM_AXI_EPS_HIGH[7:0], 32'd0};
        11: step = {1'b0, LITENORM_AXI_AFFINE[7:0], 32'd0};
        default: step = {1'b1, 8'd0, 32'd2};
    endcase
end
wire        send   = step[40];
wire  [7:0] offset = step[39:32];
wire [31:0] data   = step[31:0];
assign done = at == STEPS;

// Rows: element i of row r is at address 16 * r + i, four of them in a beat.
reg [63:0] rows [0:11];
initial begin
    rows[0]  = {16'sd120, -16'sd35, 16'sd77, 16'sd4};
    rows[1]  = {-16'sd250, 16'sd310, 16'sd0, 16'sd15};
    rows[2]  = {16'sd88, 16'sd299, -16'sd1, 16'sd42};
    rows[3]  = {16'sd200, -16'sd90, 16'sd305, 16'sd61};
    rows[4]  = {16'sd7, 16'sd7, 16'sd7, 16'sd7};
    rows[5]  = {16'sd7, 16'sd7, 16'sd7, 16'sd7};
    rows[6]  = {16'sd7, 16'sd7, 16'sd7, 16'sd7};
    rows[7]  = {16'sd7, 16'sd7, 16'sd7, 16'sd7};
    rows[8]  = {16'sd1200, -16'sd3500, 16'sd770, 16'sd41};
    rows[9]  = {-16'sd2500, 16'sd3100, 16'sd32767, 16'sd15};
    rows[10] = {16'sd880, 16'sd2990, -16'sd32768, 16'sd42};
    rows[11] = {16'sd2000, -16'sd900, 16'sd3050, 16'sd610};
end

// AXI4-Lite master: address and data at once, then the response.
reg         awvalid, wvalid;
wire        awready, wready, bvalid, irq;
wire  [1:0] bresp;
reg         waiting;                    // for the response

// AXI4-Stream master.
reg   [1:0] beat;
wire        tready;
wire        tvalid = send & ~done;
wire        tlast  = beat == 3;
wire [63:0] tdata  = rows[{data[1:0], beat}];

always @(posedge clk) begin
    if (~rst_n) begin
        at <= 0;
        beat <= 0;
        awvalid <= 0;
        wvalid <= 0;
        waiting <= 0;
        error <= 0;
    end else begin
        if (~done & ~send & ~waiting) begin
            awvalid <= 1;
            wvalid <= 1;
            waiting <= 1;
        end
        if (awvalid & awready)
            awvalid <= 0;
        if (wvalid & wready)
            wvalid <= 0;
        if (waiting & bvalid) begin
            waiting <= 0;
            at <= at + 1;
            if (bresp != 0)
                error <= 1;
        end
        if (tvalid & tready) begin
            beat <= beat + 1;
            if (tlast)
                at <= at + 1;
        end
        if (irq)
            error <= 1;
    end
end

litenorm_axi core (
    .aclk(clk),
    .aresetn(rst_n),
    .irq(irq),
    // Rows.
    .s_axis_tdata(tdata),
    .s_axis_tvalid(tvalid),
    .s_axis_tready(tready),
    .s_axis_tlast(tlast),
    .m_axis_tdata(result),
    .m_axis_tvalid(result_valid),
    .m_axis_tready(result_ready),
    .m_axis_tlast(result_last),
    // Gamma and beta: not used here.
    .s_axis_weights_tdata(64'd0),
    .s_axis_weights_tvalid(1'b0),
    .s_axis_weights_tready(),
    .s_axis_weights_tlast(1'b0),
    .s_axis_weights_tuser(1'b0),
    // Registers.
    .s_axil_awaddr(offset),
    .s_axil_awprot(3'd0),
    .s_axil_awvalid(awvalid),
    .s_axil_awready(awready),
    .s_axil_wdata(data),
    .s_axil_wstrb(4'hf),
    .s_axil_wvalid(wvalid),
    .s_axil_wready(wready),
    .s_axil_bresp(bresp),
    .s_axil_bvalid(bvalid),
    .s_axil_bready(waiting),
    .s_axil_araddr(8'd0),
    .s_axil_arprot(3'd0),
    .s_axil_arvalid(1'b0),
    .s_axil_arready(),
    .s_axil_rdata(),
    .s_axil_rresp(),
    .s_axil_rvalid(),
    .s_axil_rready(1'b1)
);

endmodule
