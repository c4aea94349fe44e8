// Counts to `limit` after `start`; `follows` shows a written input one edge later. For tests of the runner.
module probe #(
    parameter int STEP = 1
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic [31:0] limit,
    input  logic [31:0] written,
    output logic [31:0] follows,
    output logic [31:0] value,
    output logic        ones,
    output logic        done
);
  logic [95:0] wide[16];
  always_ff @(posedge clk) begin
    follows <= written;
    ones <= 1;
    if (rst) begin
      value <= 0;
      done <= 0;
    end else if (start) begin
      value <= STEP;
      done <= 0;
    end else if (value != 0 && !done) begin
      value <= value + STEP;
      done  <= value + STEP >= limit;
      wide[value[3:0]] <= {value, ~value, value};
    end
  end
endmodule
