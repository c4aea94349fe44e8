// What hw.monitor calls for its pairs of bits: population counts, of which Verilator's own take most of a simulation.
//
// A lane is `bits` neighbouring bits of each vector. Changed bits of a lane (now, was) times the digit changes of the
// word beside it: bits that differ from the next lower one, the lowest from 0 (hw.activity.Seen.DIGITS).
#include <cstdint>

#if defined(__x86_64__)
#define TILEWATT_POPCNT __attribute__((target("popcnt")))
#else
#define TILEWATT_POPCNT
#endif

namespace {
template <unsigned BITS>
inline uint32_t lane_of(const uint32_t* words, unsigned lane) {
    const unsigned first = lane * BITS, shift = first & 31;
    uint64_t both = words[first >> 5];
    if (shift + BITS > 32) both |= static_cast<uint64_t>(words[(first >> 5) + 1]) << 32;
    return static_cast<uint32_t>(both >> shift) & (~0U >> (32 - BITS));
}

template <unsigned BITS>
TILEWATT_POPCNT unsigned digit_pairs(const uint32_t* now, const uint32_t* was, const uint32_t* beside, unsigned lanes) {
    unsigned total = 0;
    for (unsigned lane = 0; lane < lanes; ++lane) {
        const uint32_t changed = lane_of<BITS>(now, lane) ^ lane_of<BITS>(was, lane);
        const uint32_t word = lane_of<BITS>(beside, lane);
        const uint32_t digits = (word ^ (word << 1)) & (~0U >> (32 - BITS));
        total += __builtin_popcount(changed) * __builtin_popcount(digits);
    }
    return total;
}

template <unsigned BITS>
unsigned digit_pairs_of(unsigned bits, const uint32_t* now, const uint32_t* was, const uint32_t* beside, unsigned lanes) {
    if (bits == BITS) return digit_pairs<BITS>(now, was, beside, lanes);
    if constexpr (BITS > 1) return digit_pairs_of<BITS - 1>(bits, now, was, beside, lanes);
    return 0;
}
}  // namespace

extern "C" unsigned int tilewatt_digit_pairs(const uint32_t* now, const uint32_t* was, const uint32_t* beside, int lanes,
                                             int bits) {
    return digit_pairs_of<32>(bits, now, was, beside, lanes);
}
