// A machine of blocks for the synthesis tests: an SRAM, a small memory, registers with enable and reset, a state
// machine, equal and constant registers, a module that stays an instance.
module top(input clk, input rst, input write, input ask, input [3:0] row, input [7:0] word, input [1:0] at,
           input take, output [7:0] data, output [7:0] held, output [7:0] answer, output [1:0] state, output same);
  wire [7:0] read;
  bank bank (.clk(clk), .write(write), .ask(ask), .row(row), .word(word), .data(read));
  lane lane (.clk(clk), .rst(rst), .take(take), .at(at), .word(read), .held(held), .state(state), .same(same));
  outside outside_0 (.clk(clk), .asked(held), .answer(answer));
  assign data = read;
endmodule

module bank(input clk, input write, input ask, input [3:0] row, input [7:0] word, output [7:0] data);
  reg [7:0] words [15:0];
  reg [7:0] read;
  wire [7:0] written = word ^ {8{row[0]}};
  wire reads = ask & ~write;
  always @(posedge clk) begin
    if (write) words[row] <= written;
    if (reads) read <= words[row];
  end
  assign data = read;
endmodule

module lane(input clk, input rst, input take, input [1:0] at, input [7:0] word, output [7:0] held,
            output [1:0] state, output same);
  reg [7:0] sums [3:0];
  reg [7:0] product = 0;
  reg [7:0] wide = 0;
  reg [1:0] step = 0;
  reg first = 0, second = 0, never = 0;
  wire [7:0] multiplied = word[3:0] * word[7:4];
  always @(posedge clk) begin
    if (rst) product <= 0;
    else if (take) product <= multiplied;
    if (take) sums[at] <= sums[at] + product;
    wide <= {4'd0, word[3:0]};
    first <= take ^ at[0];
    second <= take ^ at[0];
    never <= 0;
    case (step)
      0: if (take) step <= 1;
      1: step <= at == 3 ? 3 : 2;
      2: step <= 0;
      default: if (!take) step <= 2;
    endcase
    if (rst) step <= 0;
  end
  assign held = sums[at] ^ wide;
  assign state = step;
  assign same = first & second & ~never;
endmodule

module outside(input clk, input [7:0] asked, output reg [7:0] answer);
  always @(posedge clk) answer <= asked + 1;
endmodule
