#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/tensor/device.h"

namespace ek {

// Where the graphs of a device have what they allocate. Several may share one: a queue runs one
// replay after the other, and what the last one needed while it ran the next may use, so together
// they hold about what the largest needs. But then the values of a graph's outputs last until
// another one of the memory is replayed; who reads them later gets an Error, until their own
// graph's next replay. What must last longer a graph writes to tensors from before it.
class GraphMemory {
 public:
  // None is taken yet.
  GraphMemory(Device device);

  Device device() const;
  // Nobody else gets it while the object, one of its graphs or one of their tensors lives.
  std::int64_t held_bytes() const;

 private:
  friend class Graph;
  struct State;
  std::shared_ptr<State> state_;
};

// Work of a device that was recorded once and runs again as a whole, on the same addresses: a step
// of training, or several. On a GPU it is a CUDA graph, one call of the driver for
// hundreds of kernels; the simt device runs the same list one by one. docs/graphs.md says what a
// captured step may do.
//
// Tensors that f makes and somebody keeps are outputs: each replay writes them anew. Tensors from
// before that f reads or writes must live as long as the graph is replayed.
class Graph {
 public:
  // Calls f with what it gives to the device recorded, not run; values of its tensors come with the
  // first replay. While it runs, this thread alone may use the device. Error for the cpu, and
  // "graph: WHAT during capture" where f reads a number, copies from or to the host or waits; after
  // any exception the device is as usable as before, and what f has replaced on the host remains
  // so. Given a device, the graph has memory of its own.
  static Graph capture(const GraphMemory& memory, const std::function<void()>& f);

  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  ~Graph();

  // Puts all of it on the device's queue, once. Not during a capture. What a tape has saved of
  // a tensor that the graph writes is void afterwards, and so are weights packed by earlier ops.
  void replay();

  Device device() const;
  // What one replay launches, kind by kind, and the kernels by name in order.
  struct Counts {
    std::int64_t kernels = 0, copies = 0, fills = 0;
  };
  Counts counts() const;
  const std::vector<std::string>& kernels() const;
  // Of the memory that it has, alone or with others.
  std::int64_t memory_bytes() const;

 private:
  struct State;
  explicit Graph(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ek
