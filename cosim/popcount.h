// Population counts of the simulated design by the processor's instruction: Verilator's own take a dozen steps a word.
//
// Included behind Verilator's headers in every file that it writes (--compiler-include); compiled with -mpopcnt where the
// processor has it, and without effect elsewhere.
#pragma once

#include <cstdint>
#include <cstring>

#include "verilated.h"

#if defined(__POPCNT__)
static inline uint32_t tilewatt_ones(int words, const uint32_t* word) {
    uint64_t total = 0;
    for (; words >= 2; words -= 2, word += 2) {
        uint64_t both;
        std::memcpy(&both, word, sizeof both);
        total += __builtin_popcountll(both);
    }
    if (words) total += __builtin_popcount(*word);
    return static_cast<uint32_t>(total);
}

#define VL_COUNTONES_I(value) static_cast<uint32_t>(__builtin_popcount(value))
#define VL_COUNTONES_Q(value) static_cast<uint32_t>(__builtin_popcountll(value))
#define VL_COUNTONES_W(words, value) tilewatt_ones(words, value)
#endif
