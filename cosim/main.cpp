// The simulation's main program: owns the clock of the top module and serves the callbacks of the test bench.
//
// A time step is: toggle `clk` when its half period ends and evaluate; then callbacks of timers that end now; then the
// design and the value-change callbacks until nothing changes; then the read-only callbacks. So a value that the bench
// writes at any time is seen by the next rising edge and never by the edge of the same time step.
//
// Compile-time: TILEWATT_HALF_PERIOD_PS. Environment: TILEWATT_STATS (file that gets cycles and seconds as JSON),
// TILEWATT_CYCLE_LIMIT (0: none). Exit code 3: the limit was passed; 1: an assertion of the design failed.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_vpi.h"
#if VM_TRACE_SAIF
#include "verilated_saif_c.h"
#endif
#if VM_TRACE_VCD
#include "verilated_vcd_c.h"
#endif

extern "C" void vlog_startup_routines_bootstrap(void);  // the VPI library's entry

namespace {
std::unique_ptr<Vtop> top;
uint64_t cycles = 0;
bool trace_failed = false;

const VerilatedVar* find_variable(const char* scope, const char* name) {
    const VerilatedScope* const found = Verilated::scopeFind(scope);
    return found ? found->varFind(name) : nullptr;
}

#if VM_TRACE_SAIF
// A window is dumped by two trace objects made for it alone. `base` is dumped once, at the start: it counts every bit
// that starts at 1 as a toggle, as `window` does too, so base subtracted from window is exact.
enum class Window { closed, opening, open, closing };
Window window_state = Window::closed;
std::unique_ptr<VerilatedSaifC> window;
std::string window_path;

std::unique_ptr<VerilatedSaifC> new_trace(const std::string& path) {
    std::unique_ptr<VerilatedSaifC> trace{new VerilatedSaifC};
    top->trace(trace.get(), 99);
    trace->open(path.c_str());
    return trace;
}

void trace_time_step(uint64_t time) {
    if (window_state == Window::closed) return;
    if (window_state == Window::opening) {
        const auto base = new_trace(window_path + ".base");
        base->dump(time);
        base->close();
        window = new_trace(window_path);
        window_state = Window::open;
    }
    window->dump(time);
    if (window_state == Window::closing) {
        window->close();
        window.reset();
        window_state = Window::closed;
    }
}
#elif VM_TRACE_VCD
// Recordings: files that start with all values at a rising edge and end at the one `count` cycles later, asked for
// beforehand by the numbers of their edges so that nobody has to be woken for them. Each has a trace object of its own:
// one object dumps but once at a time, and a recording may begin where another one ends.
struct Recording {
    std::string path;
    uint64_t first;
    uint64_t count;
};
std::deque<Recording> recordings;
std::vector<std::pair<int, std::string>> recorded_scopes;
std::unique_ptr<VerilatedVcdC> recorder;

bool recorded_any = false;

void open_recorder(const std::string& path) {
    recorded_any = true;
    recorder.reset(new VerilatedVcdC);
    for (const auto& scope : recorded_scopes) recorder->dumpvars(scope.first, scope.second);
    top->trace(recorder.get(), 99);
    recorder->open(path.c_str());
    if (recorder->isOpen()) return;
    std::fprintf(stderr, "error: a recording wants a file that can be written, %s cannot\n", path.c_str());
    trace_failed = true;
}

void trace_time_step(uint64_t time) {
    while (!recordings.empty()) {
        const Recording& next = recordings.front();
        if (!recorder) {
            if (!top->clk || cycles != next.first) return;
            open_recorder(next.path);
        }
        recorder->dump(time);
        if (!top->clk || cycles != next.first + next.count) return;
        recorder->close();
        recorder.reset();
        recordings.pop_front();
    }
}
#else
void trace_time_step(uint64_t) {}
#endif

bool call_value_callbacks() {
    bool any = false;
    while (VerilatedVpi::callValueCbs()) any = true;  // a callback may write what another waits for
    return any;
}

void settle() {
    do {
        do {
            top->eval_step();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            call_value_callbacks();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        call_value_callbacks();
    } while (VerilatedVpi::evalNeeded());
    top->eval_end_step();
    VerilatedVpi::callCbs(cbReadOnlySynch);
}

uint64_t number_from_environment(const char* name) {
    const char* const text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : 0;
}

void write_statistics(double seconds) {
    const char* const path = std::getenv("TILEWATT_STATS");
    if (!path) return;
    if (FILE* const file = std::fopen(path, "w")) {
        std::fprintf(file, "{\"cycles\": %" PRIu64 ", \"seconds\": %.6f}\n", cycles, seconds);
        std::fclose(file);
    }
}
}  // namespace

extern "C" {
// Address of a public variable's storage, for a view without copies; null when there is none of that name.
void* tilewatt_datap(const char* scope, const char* name) {
    const VerilatedVar* const variable = find_variable(scope, name);
    return variable ? variable->datap() : nullptr;
}

// Bytes of that storage, all array elements together.
uint64_t tilewatt_bytes(const char* scope, const char* name) {
    const VerilatedVar* const variable = find_variable(scope, name);
    return variable ? variable->totalSize() : 0;
}

// Rising edges of the clock so far.
uint64_t tilewatt_cycles() { return cycles; }

// Dump activity from the end of this time step on. 0: yes; 1: a window is open; 2: built without SAIF.
int tilewatt_saif_open(const char* path) {
#if VM_TRACE_SAIF
    if (window_state != Window::closed) return 1;
    window_path = path;
    window_state = Window::opening;
    return 0;
#else
    (void)path;
    return 2;
#endif
}

// Dump activity until the end of this time step. 0: yes; 1: no window is open; 2: built without SAIF.
int tilewatt_saif_close() {
#if VM_TRACE_SAIF
    if (window_state != Window::open) return 1;
    window_state = Window::closing;
    return 0;
#else
    return 2;
#endif
}

// Record what is below a scope, so many levels deep. 0: yes; 1: a recording has begun; 2: built without VCD.
int tilewatt_vcd_scope(int levels, const char* scope) {
#if VM_TRACE_VCD
    if (recorded_any) return 1;
    recorded_scopes.emplace_back(levels, scope);
    return 0;
#else
    (void)levels, (void)scope;
    return 2;
#endif
}

// Record `count` cycles from rising edge `first` on. 0: yes; 1: that edge is past or within another recording; 2: built
// without VCD.
int tilewatt_vcd_window(const char* path, uint64_t first, uint64_t count) {
#if VM_TRACE_VCD
    const uint64_t free = recordings.empty() ? cycles + 1 : recordings.back().first + recordings.back().count;
    if (first < free) return 1;
    recordings.push_back({path, first, count});
    return 0;
#else
    (void)path, (void)first, (void)count;
    return 2;
#endif
}

// Recordings that are not done.
uint64_t tilewatt_vcd_left() {
#if VM_TRACE_VCD
    return recordings.size();
#else
    return 0;
#endif
}
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    VerilatedContext* const context = Verilated::threadContextp();
#if VM_TRACE_SAIF || VM_TRACE_VCD
    context->traceEverOn(true);
#endif
    top = std::make_unique<Vtop>("");
    Verilated::fatalOnVpiError(false);
    const uint64_t cycle_limit = number_from_environment("TILEWATT_CYCLE_LIMIT");
    int exit_code = 0;

    top->clk = 0;
    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    call_value_callbacks();
    settle();

    uint64_t next_edge = TILEWATT_HALF_PERIOD_PS;
    const auto start = std::chrono::steady_clock::now();
    while (!context->gotFinish()) {
        const uint64_t deadline = VerilatedVpi::cbNextDeadline();
        const uint64_t now = std::min(next_edge, deadline);
        context->time(now);
        bool woken = VerilatedVpi::callCbs(cbNextSimTime) || deadline == now;
        if (now == next_edge) {
            next_edge += TILEWATT_HALF_PERIOD_PS;
            top->clk = !top->clk;
            cycles += top->clk;
            if (cycle_limit && cycles > cycle_limit) {
                std::fprintf(stderr, "error: the limit of %" PRIu64 " cycles was passed\n", cycle_limit);
                exit_code = 3;
                break;
            }
            top->eval_step();
        }
        if (deadline == now) VerilatedVpi::callTimedCbs();
        if (call_value_callbacks()) woken = true;
        // Most edges wake nobody: then the design is settled and nothing more is called.
        if (woken) {
            settle();
        } else {
            top->eval_end_step();
        }
        trace_time_step(now);
        if (trace_failed) {
            exit_code = 1;
            break;
        }
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    write_statistics(elapsed.count());
    top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
#if VM_TRACE_SAIF
    if (window) window->close();
#endif
#if VM_TRACE_VCD
    recorder.reset();
#endif
    if (exit_code == 0 && context->errorCount() > 0) exit_code = 1;
    top.reset();
    return exit_code;
}
