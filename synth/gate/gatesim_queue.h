// Nets with their pending flips, at most one each, in one list for every ps of a cycle.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

struct alignas(64) Net {
  int32_t time = -1;  // of the pending flip, -1 for none
  int32_t next = -1, previous = -1;
  int32_t fanout = 0, fanout_end = 0;
  int32_t driver = -1;
  uint16_t driver_bit = 0, block = 0;
  uint8_t value = 0, clock = 0;
  double pending_fj = 0;  // internal energy of the pending flip
  int64_t toggles = 0, high_ps = 0;
};

class Queue {
 public:
  Queue(std::vector<Net>& all, int64_t slots) : nets(all), head(slots, -1), filled(slots / 64 + 1, 0) {}

  bool empty() const { return count == 0; }

  void add(int32_t number, int32_t due) {
    Net& net = nets[number];
    net.time = due;
    net.previous = -1;
    net.next = head[due];
    if (net.next >= 0) nets[net.next].previous = number;
    head[due] = number;
    filled[due >> 6] |= uint64_t{1} << (due & 63);
    ++count;
  }

  void remove(int32_t number) {
    Net& net = nets[number];
    if (net.next >= 0) nets[net.next].previous = net.previous;
    if (net.previous >= 0) {
      nets[net.previous].next = net.next;
    } else {
      head[net.time] = net.next;
      if (net.next < 0) filled[net.time >> 6] &= ~(uint64_t{1} << (net.time & 63));
    }
    net.time = -1;
    --count;
  }

  // First ps from `from` on with pending flips; there must be one.
  int32_t next_time(int32_t from) const {
    int32_t word = from >> 6;
    uint64_t bits = filled[word] & (~uint64_t{0} << (from & 63));
    while (!bits) bits = filled[++word];
    return (word << 6) + std::countr_zero(bits);
  }

  int32_t first_at(int32_t due) const { return head[due]; }

 private:
  std::vector<Net>& nets;
  std::vector<int32_t> head;
  std::vector<uint64_t> filled;  // a bit for each ps
  int64_t count = 0;
};
