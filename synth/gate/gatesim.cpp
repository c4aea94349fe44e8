// Event-driven simulation of a mapped netlist with delays in ps, and the energy of its transitions.
//
// All flips of one ps are applied together, then every cell that they touch is evaluated once: results do not depend on
// an order of events. The cause of an output's transition is the first of the cell's changed pins that has an arc for
// it. Delays are inertial: a pending transition is dropped when the cell's function returns to the present value; when
// it is found again, the earlier time stays. The clock and the cells of its network have no delay (an ideal clock), and
// an edge comes before the data of the same ps. Every cycle begins at the rising edge with nothing pending.
#include "gatesim.h"

#include "gatesim_queue.h"

namespace {

struct alignas(64) Cell {
  uint16_t state = 0, changed = 0, kind = 0, block = 0;
  int32_t output = 0, level = 0;
  uint8_t stored = 0, clock = 0, touched = 0;
  int64_t delay = 0, energy = 0, own = 0;
};

struct Fanout {
  int32_t cell;
  uint16_t pin;  // as a mask
};

int64_t slots(const Problem& p) { return p.period_ps + p.longest_ps + 2; }

class Simulation {
 public:
  Simulation(const Problem& problem, Outcome& outcome)
      : p(problem),
        out(outcome),
        nets(problem.nets),
        cells(problem.cells),
        queue(nets, slots(problem)),
        by_level(problem.levels),
        energy(problem.blocks * ENERGIES, 0.0),
        flips(problem.blocks, 0) {
    for (int64_t i = 0; i < p.nets; ++i) {
      nets[i].fanout = p.fanout_start[i];
      nets[i].fanout_end = p.fanout_start[i + 1];
      nets[i].block = static_cast<uint16_t>(p.net_block[i]);
      nets[i].clock = p.net_clock[i];
    }
    for (int64_t i = 0; i < p.fanout_start[p.nets]; ++i)
      fanouts.push_back({p.fanout_cell[i], static_cast<uint16_t>(1u << p.fanout_pin[i])});
    for (int64_t i = 0; i < p.cells; ++i) place(static_cast<int32_t>(i));
  }

  void run() {
    if (!settle_first() || !check(0)) return;
    int64_t window = 0;
    for (int64_t cycle = 1; cycle <= p.cycles; ++cycle) {
      start = (cycle - 1) * p.period_ps;
      out.cycle = cycle;
      if (!one_cycle(p.bits + cycle * p.columns) || !check(cycle)) return;
      if (cycle % p.window == 0 || cycle == p.cycles) close_window(window++);
    }
    for (int64_t i = 0; i < p.nets; ++i) {
      out.toggles[i] = nets[i].toggles;
      out.high_ps[i] = nets[i].high_ps + (nets[i].value ? p.cycles * p.period_ps : 0);
    }
  }

 private:
  const Problem& p;
  Outcome& out;
  std::vector<Net> nets;
  std::vector<Cell> cells;
  std::vector<Fanout> fanouts;
  Queue queue;
  std::vector<int32_t> touched, touched_now;         // cells to evaluate
  std::vector<std::vector<int32_t>> by_level;        // the same without delays, in the order of the netlist
  std::vector<int32_t> instant, ready, flipped_now;  // nets that flip next: of the clock's network; without delays
  int64_t lowest = 0;                                // level that may hold cells to evaluate
  std::vector<double> energy;                        // of the open window, as `flips`
  std::vector<int64_t> flips;
  int64_t start = 0;  // ps
  int32_t time = 0;   // ps of the cycle
  bool leveled = false, first = false;

  void place(int32_t number) {
    const Instance& given = p.instance[number];
    const Kind& kind = p.kind[given.kind];
    Cell& cell = cells[number];
    cell.kind = static_cast<uint16_t>(given.kind);
    cell.block = static_cast<uint16_t>(given.block);
    cell.output = given.output;
    cell.level = given.level;
    cell.clock = static_cast<uint8_t>(given.clock);
    cell.stored = static_cast<uint8_t>(given.stored);
    cell.delay = given.delay;
    cell.energy = given.energy;
    cell.own = given.own;
    for (int k = 0; k < kind.outputs; ++k) {
      nets[given.output + k].driver = number;
      nets[given.output + k].driver_bit = static_cast<uint16_t>(1u << (kind.inputs + k));
    }
  }

  bool fail(Failure what, int64_t number) {
    out.failure = what;
    out.number = number;
    return false;
  }

  // -- flips and evaluations

  void touch(int32_t number) {
    Cell& cell = cells[number];
    if (cell.touched) return;
    cell.touched = 1;
    __builtin_prefetch(&nets[cell.output]);  // an evaluation is mostly a wait for these three
    __builtin_prefetch(&p.delay_ps[cell.delay]);
    __builtin_prefetch(&p.energy_fj[cell.energy]);
    if (leveled) {
      by_level[cell.level].push_back(number);
      if (cell.level < lowest) lowest = cell.level;
    } else {
      touched.push_back(number);
    }
  }

  void flip(int32_t number) {
    Net& net = nets[number];
    net.time = -1;
    net.value ^= 1;
    const int64_t now = start + time;
    net.high_ps += net.value ? -now : now;
    ++net.toggles;
    ++flips[net.block];
    ++out.events;
    double* sums = &energy[net.block * ENERGIES];
    sums[net.clock ? CLOCK : SWITCHING] += p.net_fj[number];
    sums[net.clock ? CLOCK : INTERNAL] += net.pending_fj;
    if (net.driver >= 0) cells[net.driver].state ^= net.driver_bit;
    for (int32_t i = net.fanout; i < net.fanout_end; ++i) {
      Cell& cell = cells[fanouts[i].cell];
      cell.state ^= fanouts[i].pin;
      cell.changed ^= fanouts[i].pin;
      touch(fanouts[i].cell);
    }
  }

  // Give a flip-flop or latch its stored bit after `changed` pins.
  void store(Cell& cell, const Kind& kind, uint16_t changed) {
    const uint32_t mask = (1u << kind.inputs) - 1, above = static_cast<uint32_t>(cell.stored) << kind.inputs;
    const uint8_t* rules = p.rules + kind.small;
    const uint8_t rule = rules[(cell.state & mask) | above];
    if (rule & 4) {
      cell.stored = 0;
    } else if (rule & 8) {
      cell.stored = 1;
    } else if (kind.store == 2) {
      if (rule & 2) cell.stored = rule & 1;
    } else if (!first && (rule & 2) && !(rules[((cell.state ^ changed) & mask) | above] & 2)) {
      cell.stored = rule & 1;
    }
  }

  void evaluate(int32_t number) {
    Cell& cell = cells[number];
    const Kind& kind = p.kind[cell.kind];
    const uint16_t changed = cell.changed;
    cell.changed = 0;
    cell.touched = 0;
    ++out.evaluations;
    for (uint32_t pins = changed & kind.own_pins; pins; pins &= pins - 1) {
      const int pin = std::countr_zero(pins), edge = (cell.state >> pin) & 1;
      const uint16_t own = p.own_choice[kind.own_table + (pin * 2 + edge) * kind.states + cell.state];
      if (own == NONE) continue;
      energy[cell.block * ENERGIES + ((kind.clock_pins >> pin) & 1 ? CLOCK : INTERNAL)] += p.own_fj[cell.own + own];
    }
    if (kind.store) store(cell, kind, changed);
    const uint32_t inputs = cell.state & ((1u << kind.inputs) - 1);
    const uint8_t values = p.next_outputs[kind.small + (inputs | static_cast<uint32_t>(cell.stored) << kind.inputs)];
    for (int k = 0; k < kind.outputs; ++k) drive(cell, kind, k, (values >> k) & 1, changed);
  }

  void drive(const Cell& cell, const Kind& kind, int output, int value, uint16_t changed) {
    const int32_t number = cell.output + output;
    Net& net = nets[number];
    const bool listed = cell.clock || p.zero_delay || first;
    if (value == net.value) {
      if (net.time < 0) return;
      if (listed) {  // stays in its list and is passed over there
        net.time = -1;
      } else {
        queue.remove(number);
      }
      return;
    }
    if (first) {
      hold(ready, number, 0);
      return;
    }
    // Row of the tables for the first input and this edge; the rows of the next input are two further on.
    const int64_t row = (static_cast<int64_t>(output) * kind.inputs * 2 + value) * kind.states + cell.state;
    int pin = -1;
    uint16_t delay = NONE;
    for (uint32_t pins = changed; pins && delay == NONE; pins &= pins - 1) {
      pin = std::countr_zero(pins);
      delay = p.delay_choice[kind.delay_table + row + pin * 2 * kind.states];
    }
    if (delay == NONE) {
      fail(NO_ARC, number);
      return;
    }
    const uint16_t internal = p.energy_choice[kind.energy_table + row + pin * 2 * kind.states];
    const double fj = internal == NONE ? 0.0 : p.energy_fj[cell.energy + internal];
    if (listed) {
      hold(cell.clock ? instant : ready, number, fj);
      return;
    }
    const int32_t due = time + p.delay_ps[cell.delay + delay];
    if (net.time >= 0) {
      if (net.time <= due) return;
      queue.remove(number);
    }
    net.pending_fj = fj;
    queue.add(number, due);
  }

  // Put a net that flips in this ps in a list.
  void hold(std::vector<int32_t>& list, int32_t number, double fj) {
    if (nets[number].time >= 0) return;
    nets[number].time = time;
    nets[number].pending_fj = fj;
    list.push_back(number);
  }

  void apply(std::vector<int32_t>& list) {
    flipped_now.swap(list);
    for (const int32_t number : flipped_now)
      if (nets[number].time >= 0) flip(number);
    flipped_now.clear();
  }

  void evaluate_all(std::vector<int32_t>& list) {
    touched_now.swap(list);
    for (const int32_t number : touched_now) evaluate(number);
    touched_now.clear();
  }

  // -- the course of a cycle

  // Flips of the clock's network until it is at rest.
  bool settle_clock() {
    const bool before = leveled;
    leveled = false;
    for (int64_t rounds = 0; !instant.empty(); ++rounds) {
      if (rounds > p.cells) return fail(RESTLESS, instant.front());
      apply(instant);
      evaluate_all(touched);
    }
    leveled = before;
    return out.failure == FINE;
  }

  bool clock_edge() {
    hold(instant, static_cast<int32_t>(p.clock_net), 0);
    return settle_clock();
  }

  // Without delays: in the order of the netlist, so that each cell is evaluated once.
  bool settle_levels() {
    leveled = true;
    int32_t moved = ready.empty() ? 0 : ready.front();
    apply(ready);
    for (int64_t rounds = 0; lowest < p.levels;) {
      if (by_level[lowest].empty()) {
        ++lowest;
        continue;
      }
      if (++rounds > p.levels * (p.cells + 1)) return fail(RESTLESS, moved);
      evaluate_all(by_level[lowest]);
      if (!settle_clock()) return false;
      if (!ready.empty()) moved = ready.front();
      apply(ready);
    }
    leveled = false;
    return true;
  }

  // With delays: up to `end`, not included.
  bool settle_until(int32_t end) {
    while (!queue.empty()) {
      const int32_t due = queue.next_time(time);
      if (due >= end) break;
      time = due;
      for (int32_t number = queue.first_at(due); number >= 0; number = queue.first_at(due)) {
        queue.remove(number);
        flip(number);
      }
      evaluate_all(touched);
      if (!settle_clock()) return false;
    }
    return true;
  }

  bool one_cycle(const uint8_t* row) {
    time = 0;
    if (!clock_edge()) return false;
    for (int64_t i = 0; i < p.inputs; ++i) {
      const int32_t number = p.input_net[i];
      if (nets[number].value == row[p.input_column[i]]) continue;
      if (p.zero_delay) {
        hold(ready, number, 0);
      } else {
        queue.add(number, p.input_delay_ps[i]);
      }
    }
    const int32_t half = static_cast<int32_t>(p.period_ps / 2), end = static_cast<int32_t>(p.period_ps);
    if (p.zero_delay ? !settle_levels() : !settle_until(half)) return false;
    time = half;
    if (!clock_edge()) return false;
    if (p.zero_delay ? !settle_levels() : !settle_until(end)) return false;
    return queue.empty() || fail(UNSETTLED, queue.first_at(queue.next_time(time)));
  }

  // The state of row 0: stored bits and inputs are given, everything else follows, the clock is low.
  bool settle_first() {
    first = true;
    leveled = true;
    for (int64_t i = 0; i < p.nets; ++i)
      if (p.constants[i]) hold(ready, static_cast<int32_t>(i), 0);
    for (int64_t i = 0; i < p.inputs; ++i)
      if (p.bits[p.input_column[i]]) hold(ready, p.input_net[i], 0);
    for (int64_t i = 0; i < p.cells; ++i) touch(static_cast<int32_t>(i));
    const bool rests = settle_levels();
    first = false;
    for (Net& net : nets) net.toggles = net.high_ps = 0;
    energy.assign(energy.size(), 0.0);
    flips.assign(flips.size(), 0);
    out.events = out.evaluations = 0;
    return rests;
  }

  bool check(int64_t cycle) {
    const uint8_t* row = p.bits + cycle * p.columns;
    for (int64_t i = 0; i < p.checks; ++i)
      if (nets[p.check_net[i]].value != row[p.check_column[i]]) return fail(DIFFERS, i);
    return true;
  }

  void close_window(int64_t window) {
    for (int64_t i = 0; i < p.blocks * ENERGIES; ++i) out.energy_fj[window * p.blocks * ENERGIES + i] = energy[i];
    for (int64_t i = 0; i < p.blocks; ++i) out.transitions[window * p.blocks + i] = flips[i];
    energy.assign(energy.size(), 0.0);
    flips.assign(flips.size(), 0);
  }
};

}  // namespace

extern "C" void gatesim_run(const Problem* problem, Outcome* outcome) {
  Simulation(*problem, *outcome).run();
}
