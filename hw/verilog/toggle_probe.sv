// Counts the bits by which `becomes` differs from `was` in every cycle with `en`, since `clear`. For simulation only.
module toggle_probe #(
    parameter int WIDTH = 1
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             clear,
    input  logic             en,
    input  logic [WIDTH-1:0] was,
    input  logic [WIDTH-1:0] becomes,
    output logic [47:0]      toggles
);
  always_ff @(posedge clk) begin
    if (rst || clear) toggles <= '0;
    else if (en) toggles <= toggles + 48'($countones(was ^ becomes));
  end
endmodule
