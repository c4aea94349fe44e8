// What synth/gate/simulate.py hands over and takes back: flat arrays, the same in both files, field by field.
#pragma once
#include <cstdint>

constexpr uint16_t NONE = 0xFFFF;  // in a table: no entry

// A kind of cell. Bits of a cell's state: its inputs as they are now, then its outputs before they follow.
// Tables of choices give numbers of entries, counted within the cell; `states` values for each pin and edge.
struct Kind {
  int32_t inputs, outputs, store;  // store: 0 combinational, 1 flip-flop, 2 latch
  int32_t states;
  int32_t clock_pins;  // mask of the inputs on nets of the clock
  int32_t own_pins;    // mask of the inputs with power of their own
  int64_t small;       // into next_outputs and rules: by inputs, and the stored bit above them
  int64_t delay_table, energy_table, own_table;
};

struct Instance {
  int32_t kind, output;         // output: net of the first output, the others follow it
  int32_t block, level, clock;  // clock: of the clock's network, without delay
  int32_t stored;               // first value of the stored bit
  int64_t delay, energy, own;   // first entries
};

struct Problem {
  int64_t cells, nets, blocks, levels, cycles, window, columns, inputs, checks;
  int64_t period_ps, longest_ps, zero_delay, clock_net;
  const Kind* kind;
  const Instance* instance;
  const uint8_t* next_outputs;     // bit k: output k
  const uint8_t* rules;            // bit 0 next state or data, 1 clock or enable, 2 clear, 3 preset
  const uint16_t* delay_choice;    // [output][input][edge of the output][state]
  const uint16_t* energy_choice;
  const uint16_t* own_choice;      // [input][edge of the input][state]
  const int32_t* delay_ps;
  const double* energy_fj;
  const double* own_fj;
  const int32_t* fanout_start;     // [nets + 1]
  const int32_t* fanout_cell;
  const int32_t* fanout_pin;
  const double* net_fj;            // of one transition
  const int32_t* net_block;
  const uint8_t* net_clock;
  const uint8_t* constants;        // 1: the net is held at 1
  const uint8_t* bits;             // [cycles + 1, columns]
  const int32_t* input_net;
  const int32_t* input_column;
  const int32_t* input_delay_ps;   // less than the period
  const int32_t* check_net;
  const int32_t* check_column;
};

enum Energy { INTERNAL, SWITCHING, CLOCK, ENERGIES };

enum Failure { FINE, DIFFERS, UNSETTLED, RESTLESS, NO_ARC };

struct Outcome {
  double* energy_fj;     // [windows, blocks, ENERGIES]
  int64_t* transitions;  // [windows, blocks]
  int64_t* toggles;      // [nets]
  int64_t* high_ps;      // [nets]
  int64_t events, evaluations;
  int64_t failure, cycle, number;  // number: of the check that differs, else of the net
};
