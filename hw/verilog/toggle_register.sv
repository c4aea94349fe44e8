// LANES registers of WIDTH bits with an enable each, and the number of their bit changes since `clear`.
// For simulation only: it replaces plain registers when the tile is generated with activity counters.
module toggle_register #(
    parameter int LANES = 1,
    parameter int WIDTH = 1,
    parameter int COUNTER_BITS = 48
) (
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   clear,
    input  logic [LANES-1:0]       en,
    input  logic [LANES*WIDTH-1:0] d,
    output logic [LANES*WIDTH-1:0] q,
    output logic [COUNTER_BITS-1:0]            toggles
);
  localparam int COUNT = $clog2(WIDTH + 1);
  logic [COUNT-1:0] changed[LANES];
  for (genvar i = 0; i < LANES; i++) begin : lane
    logic [WIDTH-1:0] value = '0;
    assign q[i*WIDTH+:WIDTH] = value;
    always_ff @(posedge clk) begin
      if (rst) value <= '0;
      else if (en[i]) value <= d[i*WIDTH+:WIDTH];
      changed[i] <= en[i] ? COUNT'($countones(d[i*WIDTH+:WIDTH] ^ value)) : '0;
    end
  end
  logic [COUNTER_BITS-1:0] sum;
  always_comb begin
    sum = '0;
    for (int i = 0; i < LANES; i++) sum += COUNTER_BITS'(changed[i]);
  end
  always_ff @(posedge clk) begin
    if (rst || clear) toggles <= '0;
    else toggles <= toggles + sum;
  end
endmodule
