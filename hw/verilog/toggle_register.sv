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
  localparam int BITS = LANES * WIDTH;
  for (genvar i = 0; i < LANES; i++) begin : lane
    logic [WIDTH-1:0] value = '0;
    assign q[i*WIDTH+:WIDTH] = value;
    always_ff @(posedge clk) begin
      if (rst) value <= '0;
      else if (en[i]) value <= d[i*WIDTH+:WIDTH];
    end
  end
  // One wide count for all lanes, after cycles in which one of them may have changed: the others cost nothing.
  logic moved;
  logic [BITS-1:0] was;
  always_ff @(posedge clk) begin
    moved <= rst || |en;
    if (moved) was <= q;
    if (rst || clear) toggles <= '0;
    else if (moved) toggles <= toggles + COUNTER_BITS'($countones(q ^ was));
  end
endmodule
