// Counts the bits by which `becomes` differs from `was` in every cycle with `en`, since `clear`. For simulation only.
module toggle_probe #(
    parameter int WIDTH = 1,
    parameter int COUNTER_BITS = 48
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             clear,
    input  logic             en,
    input  logic [WIDTH-1:0] was,
    input  logic [WIDTH-1:0] becomes,
    output logic [COUNTER_BITS-1:0]      toggles
);
  always_ff @(posedge clk) begin
    if (rst || clear) toggles <= '0;
    else if (en) toggles <= toggles + COUNTER_BITS'($countones(was ^ becomes));
  end
endmodule
