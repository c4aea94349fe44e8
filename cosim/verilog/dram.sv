// A DDR3 rank behind the tile's DRAM port: data, timing, refusals and counters. docs/dram.md states the rules.
//
// Requests are served in order; every time is fixed when the request is accepted, from the state of its bank and of the
// data bus. A response is sampled by the tile at the first rising edge at or after the end of its burst. Times are
// integer picoseconds since the first edge without reset; commands fall on edges of the DRAM clock.
// The bench reads and writes `memory`, `written` and `limit_beats` directly, and reads the counters and the trace.
module dram #(
    parameter int BEAT_BITS = 512,
    parameter int LINES = 1,
    parameter int ADDRESS_BITS = 26,
    parameter int MEMORY_BEATS = 1 << 20,
    parameter int DEPTH = 16,  // requests accepted and not yet completed, at most
    parameter int TRACE_DEPTH = 0,  // requests recorded, 0: none
    parameter int CLOCK_PS = 4000,
    parameter bit IDEAL = 0,  // 1: latency and bandwidth only, no banks
    parameter int IDEAL_LATENCY_PS = 0,
    parameter int IDEAL_BURST_PS = 0,  // 0: as many beats as the port can take
    parameter int BANKS = 8,
    parameter int ROW_BEATS = 128,
    parameter int BURSTS = 1,  // bursts per beat
    parameter int T_CK = 1250,
    parameter int T_BURST = 5000,
    parameter int T_RCD = 13750,
    parameter int T_RP = 13750,
    parameter int T_CL = 13750,
    parameter int T_CWL = 10000,
    parameter int T_RAS = 35000,
    parameter int T_WR = 15000,
    parameter int T_WTR = 7500,
    parameter int T_RTP = 7500,
    parameter int T_RTW = 11250,
    parameter int T_CCD = 5000,
    parameter int T_RRD = 7500,
    parameter int T_FAW = 40000,
    parameter int T_REFI = 7800000,
    parameter int T_RFC = 260000,
    parameter int T_IDLE = 40000,  // idle time before a refresh that is owed
    parameter int T_IDLE_EARLY = 260000,  // and before one that is not
    parameter int REFRESHES_MOVED = 8,  // postponed or pulled in, at most
    parameter int REFRESHES_CLOSE = 16,  // refreshes within 2 * T_REFI, at most; a power of two
    parameter int OWED = 0  // refreshes owed at the end of reset
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    req_valid,
    output logic                    req_ready,
    input  logic                    req_write,
    input  logic [ADDRESS_BITS-1:0] req_address,
    input  logic [BEAT_BITS-1:0]    req_data,
    input  logic [LINES-1:0]        req_mask,
    output logic                    rsp_valid,
    output logic [BEAT_BITS-1:0]    rsp_data,
    output logic                    fault,
    output logic [1:0]              fault_kind,
    output logic [ADDRESS_BITS-1:0] fault_address
);
  localparam int LINE_BITS = BEAT_BITS / LINES;
  localparam int INDEX_BITS = MEMORY_BEATS > 1 ? $clog2(MEMORY_BEATS) : 1;
  localparam int QUEUE_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam int BANK_BITS = BANKS > 1 ? $clog2(BANKS) : 1;
  localparam longint NEVER = -64'd1000000000;  // so long ago that it constrains nothing

  logic [BEAT_BITS-1:0] memory[MEMORY_BEATS];
  logic [LINES-1:0] written[MEMORY_BEATS];
  logic [31:0] limit_beats = MEMORY_BEATS;  // addresses from here on are refused

  // counters, since reset
  longint read_beats, write_beats, row_hits, row_misses, refreshes, forced_refreshes, turnarounds, busy_ps;

  // recorded requests: {write, address}, edge of acceptance, end of the burst
  localparam int TRACE_ENTRIES = TRACE_DEPTH > 1 ? TRACE_DEPTH : 2;
  localparam int TRACE_BITS = $clog2(TRACE_ENTRIES);
  longint trace_count;
  logic [63:0] trace_request[TRACE_ENTRIES];
  longint trace_accepted_ps[TRACE_ENTRIES];
  longint trace_done_ps[TRACE_ENTRIES];

  // time of this edge, banks and bus
  longint now, refresh_due;
  int     owed;  // refreshes that fell due, less those done
  int     postponed;  // refreshes that fell due since the last one
  longint idle_from;  // the later of: end of reset, the last completion of all requests, end of the last refresh
  longint refreshed[REFRESHES_CLOSE];  // commands of the last refreshes, oldest at `oldest_refresh`
  logic [$clog2(REFRESHES_CLOSE)-1:0] oldest_refresh;
  logic   open[BANKS];
  longint row[BANKS];
  longint activate_ok[BANKS];  // earliest activate of a closed bank
  longint precharge_ok[BANKS];  // earliest precharge of an open one
  longint cas_ok[BANKS];  // earliest read or write of the open row
  longint last_cas, last_write_end, last_activate, bus_free;
  longint activates[4];  // of the last four, oldest at `oldest`
  logic [1:0] oldest;
  logic   last_write, any_request;

  // accepted and not completed, oldest at `head`
  longint queue_done_ps[DEPTH];
  logic   queue_write[DEPTH];
  logic [BEAT_BITS-1:0] queue_data[DEPTH];
  logic [QUEUE_BITS-1:0] head, tail;
  int count;

  // the request that waits, to see that it does not change
  logic waiting, waiting_write;
  logic [ADDRESS_BITS-1:0] waiting_address;
  logic [BEAT_BITS-1:0] waiting_data;
  logic [LINES-1:0] waiting_mask;

  function automatic longint later(longint a, longint b);
    return a > b ? a : b;
  endfunction

  // first edge of the DRAM clock at or after `t`
  function automatic longint on_clock(longint t);
    return (t + 64'(T_CK) - 1) / 64'(T_CK) * 64'(T_CK);
  endfunction

  task automatic refuse(logic [1:0] kind, logic [ADDRESS_BITS-1:0] address);
    if (!fault) begin
      fault <= 1;
      fault_kind <= kind;
      fault_address <= address;
    end
  endtask

  // All banks are precharged, then refreshed together.
  task automatic refresh();
    longint at;
    logic any_open;
    at = on_clock(now);
    any_open = 0;
    for (int b = 0; b < BANKS; b++) begin
      if (open[b]) begin
        any_open = 1;
        at = later(at, precharge_ok[b]);
      end
    end
    if (any_open) at += 64'(T_RP);
    for (int b = 0; b < BANKS; b++) at = later(at, activate_ok[b]);
    for (int b = 0; b < BANKS; b++) begin
      open[b] = 0;
      activate_ok[b] = at + 64'(T_RFC);
    end
    refreshed[oldest_refresh] = at;
    oldest_refresh += 1;
    idle_from = at + 64'(T_RFC);
    refreshes += 1;
    owed -= 1;
    postponed = 0;
  endtask

  // Whether there is nothing else to do at this edge, and has not been for long enough.
  function automatic logic idles();
    if (count > 0 || req_valid || owed <= -REFRESHES_MOVED) return 0;
    if (now < refreshed[oldest_refresh] + 2 * 64'(T_REFI)) return 0;
    return now - idle_from >= (owed > 0 ? 64'(T_IDLE) : 64'(T_IDLE_EARLY));
  endfunction

  // A refresh falls due; one is done when too many are owed or postponed in a row, or in idle time.
  task automatic refresh_if_wanted();
    if (now >= refresh_due) begin
      refresh_due += 64'(T_REFI);
      owed += 1;
      postponed += 1;
    end
    if (owed > REFRESHES_MOVED || postponed > REFRESHES_MOVED) begin
      forced_refreshes += 1;
      refresh();
    end else if (idles()) begin
      refresh();
    end
  endtask

  // End of the data burst of a request accepted now; updates banks, bus and counters.
  task automatic schedule(input logic write, input longint address, output longint end_ps);
    longint page, wanted_row, cas, activate;
    logic [BANK_BITS-1:0] bank;
    page = address / 64'(ROW_BEATS);
    bank = BANK_BITS'(page % 64'(BANKS));
    wanted_row = page / 64'(BANKS);
    if (open[bank] && row[bank] == wanted_row) begin
      row_hits += 1;
    end else begin
      activate = on_clock(now);
      if (open[bank]) activate = later(activate, precharge_ok[bank]) + 64'(T_RP);
      else activate = later(activate, activate_ok[bank]);
      activate = later(activate, later(last_activate + 64'(T_RRD), activates[oldest] + 64'(T_FAW)));
      activates[oldest] = activate;
      oldest += 1;
      last_activate = activate;
      open[bank] = 1;
      row[bank] = wanted_row;
      cas_ok[bank] = activate + 64'(T_RCD);
      precharge_ok[bank] = activate + 64'(T_RAS);
      row_misses += 1;
    end
    cas = later(on_clock(now), cas_ok[bank]);
    if (any_request && write == last_write) cas = later(cas, last_cas + 64'(T_CCD));
    else if (any_request && write) cas = later(cas, last_cas + 64'(T_RTW));
    else if (any_request) cas = later(cas, last_write_end + 64'(T_WTR));
    if (any_request && write != last_write) turnarounds += 1;
    last_cas = cas + 64'(T_CCD) * 64'(BURSTS - 1);
    if (write) begin
      end_ps = last_cas + 64'(T_CWL) + 64'(T_BURST);
      last_write_end = end_ps;
      precharge_ok[bank] = later(precharge_ok[bank], end_ps + 64'(T_WR));
    end else begin
      end_ps = last_cas + 64'(T_CL) + 64'(T_BURST);
      precharge_ok[bank] = later(precharge_ok[bank], last_cas + 64'(T_RTP));
    end
    busy_ps += 64'(T_BURST) * 64'(BURSTS);
    last_write = write;
    any_request = 1;
  endtask

  task automatic accept();
    longint end_ps;
    logic in_range;
    logic [INDEX_BITS-1:0] index;
    logic [TRACE_BITS-1:0] entry;
    index = INDEX_BITS'(req_address);
    entry = TRACE_BITS'(trace_count);
    in_range = 64'(req_address) < 64'(limit_beats);
    if (IDEAL) begin
      end_ps = later(now + 64'(IDEAL_LATENCY_PS), bus_free + 64'(IDEAL_BURST_PS));
      bus_free = end_ps;
      busy_ps += 64'(IDEAL_BURST_PS);
    end else begin
      schedule(req_write, 64'(req_address), end_ps);
    end
    if (req_write) write_beats += 1;
    else read_beats += 1;
    queue_done_ps[tail] = end_ps;
    queue_write[tail] = req_write;
    if (!in_range) begin
      refuse(1, req_address);
      queue_data[tail] = '0;
    end else if (req_write) begin
      for (int i = 0; i < LINES; i++) begin
        if (req_mask[i]) memory[index][i*LINE_BITS+:LINE_BITS] = req_data[i*LINE_BITS+:LINE_BITS];
      end
      written[index] |= req_mask;
    end else begin
      if (written[index] != '1) refuse(2, req_address);
      queue_data[tail] = memory[index];
    end
    if (trace_count < 64'(TRACE_DEPTH)) begin
      trace_request[entry] = {req_write, 63'(req_address)};
      trace_accepted_ps[entry] = now;
      trace_done_ps[entry] = end_ps;
    end
    trace_count += 1;
    tail = 32'(tail) == DEPTH - 1 ? '0 : tail + 1'b1;
    count += 1;
  endtask

  initial for (int i = 0; i < MEMORY_BEATS; i++) written[i] = '0;

  always @(posedge clk) begin
    rsp_valid <= 0;
    if (rst) begin
      now = 0;
      refresh_due = 64'(T_REFI);
      owed = OWED;
      postponed = 0;
      idle_from = 0;
      for (int i = 0; i < REFRESHES_CLOSE; i++) refreshed[i] = NEVER;
      oldest_refresh = 0;
      for (int b = 0; b < BANKS; b++) begin
        open[b] = 0;
        row[b] = 0;
        activate_ok[b] = 0;
        precharge_ok[b] = 0;
        cas_ok[b] = 0;
      end
      for (int i = 0; i < 4; i++) activates[i] = NEVER;
      last_activate = NEVER;
      last_cas = NEVER;
      last_write_end = NEVER;
      bus_free = NEVER;
      oldest = 0;
      last_write = 0;
      any_request = 0;
      head = 0;
      tail = 0;
      count = 0;
      waiting = 0;
      read_beats = 0;
      write_beats = 0;
      row_hits = 0;
      row_misses = 0;
      refreshes = 0;
      forced_refreshes = 0;
      turnarounds = 0;
      busy_ps = 0;
      trace_count = 0;
      req_ready <= 0;
      fault <= 0;
      fault_kind <= 0;
      fault_address <= '0;
    end else begin
      if (!IDEAL) refresh_if_wanted();
      if (waiting && (!req_valid || req_write != waiting_write || req_address != waiting_address ||
                      (req_write && (req_data != waiting_data || req_mask != waiting_mask)))) begin
        refuse(3, waiting_address);
      end
      waiting = req_valid && !req_ready;
      if (waiting) begin
        waiting_write = req_write;
        waiting_address = req_address;
        waiting_data = req_data;
        waiting_mask = req_mask;
      end
      if (req_valid && req_ready) accept();
      if (count > 0 && queue_done_ps[head] <= now + 64'(CLOCK_PS)) begin
        rsp_valid <= !queue_write[head];
        if (!queue_write[head]) rsp_data <= queue_data[head];
        head = 32'(head) == DEPTH - 1 ? '0 : head + 1'b1;
        count -= 1;
        if (count == 0) idle_from = later(idle_from, now);
      end
      req_ready <= count < DEPTH;
      now += 64'(CLOCK_PS);
    end
  end
endmodule
