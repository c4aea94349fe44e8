// Stands in for a tile: copies `program_address` beats from the image to the result and logs the two low cells of each, the words that its top bits name.
module tile (
    input clk, input rst, input start,
    input [19:0] program_address, input [19:0] image_address, input [19:0] result_address,
    output reg busy, output reg done,
    output dram__req_valid, input dram__req_ready, output dram__req_write, output [19:0] dram__req_address,
    output [127:0] dram__req_data, output [1:0] dram__req_mask, input dram__rsp_valid, input [127:0] dram__rsp_data,
    output reg out__valid, output reg [3:0] out__mask, output reg [63:0] out__data
);
  reg [19:0] asked, written;
  reg [127:0] held;
  reg full, waits;
  assign dram__req_valid = busy && (full || (!waits && asked != program_address));
  assign dram__req_write = full;
  assign dram__req_address = full ? result_address + written : image_address + asked;
  assign dram__req_data = held;
  assign dram__req_mask = 2'b11;
  always @(posedge clk) begin
    out__valid <= 0;
    if (rst) begin
      busy <= 0; done <= 0; asked <= 0; written <= 0; full <= 0; waits <= 0;
    end else if (!busy) begin
      if (start) begin
        busy <= 1; done <= 0; asked <= 0; written <= 0;
      end
    end else begin
      if (dram__req_valid && dram__req_ready) begin
        if (full) begin
          full <= 0; written <= written + 1;
        end else begin
          asked <= asked + 1; waits <= 1;
        end
      end
      if (dram__rsp_valid) begin
        held <= dram__rsp_data; full <= 1; waits <= 0;
        out__valid <= 1; out__mask <= dram__rsp_data[127:124]; out__data <= dram__rsp_data[63:0];
      end
      if (written == program_address) begin
        busy <= 0; done <= 1;
      end
    end
  end
endmodule
