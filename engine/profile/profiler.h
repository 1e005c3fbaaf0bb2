#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/profile/nvtx.h"
#include "engine/tensor/dtype.h"
#include "kernels/conv.h"

namespace ek {

// What a training step is busy with. Derivatives know themselves (LinearMap), the rest is told by
// a PhaseScope.
enum class Phase : std::uint8_t { other, data, forward, backward, tangent, optimizer, evaluation };
inline constexpr int phase_count = 7;
std::string_view name_of(Phase phase);

// What a convolution's event ran, so that a report can hold another library against it.
struct ProfiledConv {
  kernels::Conv2dShape shape;
  kernels::Conv2dPass pass;
  DType dtype;
  std::optional<kernels::Conv2dPass> second_pass = {};  // of an op that runs two
};

// Timings of ops. Off by default; when off a scope costs one branch. While on, every op adds an
// event with its name, shape text, floating-point operations and bytes, and the layer and phase in
// which it ran. Scopes of any thread count; threads are numbered in the order in which they come.
struct ProfileEvent {
  std::string name, detail = {};
  double start_ms = 0, duration_ms = 0;
  double flops = 0, bytes = 0;
  int depth = 0;  // number of scopes of this thread around it
  int thread = 0;
  std::string layer = {};  // "layer1.0.conv1"; empty outside of layers
  Phase phase = Phase::other;
  std::optional<ProfiledConv> conv = {};  // of convolutions
};

void profiler_start();
// Stops and returns the events in the order in which they began. A scope that is still open ends
// here.
std::vector<ProfileEvent> profiler_stop();
bool profiler_on();

class ProfileScope {
 public:
  // `detail` is a callable that returns the shape text; it runs only while profiling.
  template <class Detail>
  ProfileScope(std::string_view name, Detail&& detail, double flops = 0, double bytes = 0) {
    if (profiler_on()) begin(name, detail(), flops, bytes);
  }
  explicit ProfileScope(std::string_view name) {
    if (profiler_on()) begin(name, {}, 0, 0);
  }
  ~ProfileScope() {
    if (event_ >= 0) end();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

  // For the scope of a convolution.
  void note(const ProfiledConv& conv) {
    if (event_ >= 0) attach(conv);
  }

 private:
  void begin(std::string_view name, std::string detail, double flops, double bytes);
  void end();
  void attach(const ProfiledConv& conv);
  std::int64_t event_ = -1;
};

// The number of a layer's name, so that a tape can keep it; 0 is no layer.
using LayerId = std::int32_t;
// The innermost LayerScope of this thread.
LayerId current_layer();
// Its name, which lasts as long as the process.
std::string_view name_of_layer(LayerId layer);

// Events of this thread that begin while it lives belong to a layer; the innermost scope counts. In
// builds for CUDA it is a range of NVTX, too, profiled or not.
class LayerScope {
 public:
  // The layer PREFIX + NAME, e.g. {"layer1.0.", "conv1"}. No event sees it while nothing is
  // profiled.
  explicit LayerScope(std::string_view prefix, std::string_view name = {}) {
    nvtx::push(prefix, name);
    if (profiler_on()) enter(prefix, name);
  }
  // A layer that current_layer() named before, which it does while something is profiled; 0 is
  // none.
  explicit LayerScope(LayerId layer) {
    nvtx::push(layer == 0 ? std::string_view() : name_of_layer(layer));
    enter(layer);
  }
  ~LayerScope() {
    if (entered_) leave();
    nvtx::pop();
  }
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

 private:
  void enter(std::string_view prefix, std::string_view name);
  void enter(LayerId layer);
  void leave();
  LayerId before_ = 0;
  bool entered_ = false;
};

Phase current_phase();

// Events of this thread that begin while it lives belong to a phase; the innermost scope counts. In
// builds for CUDA it is a range of NVTX, too.
class PhaseScope {
 public:
  explicit PhaseScope(Phase phase);
  ~PhaseScope();
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Phase before_;
};

// The time of each event without the events inside it, ms.
std::vector<double> self_times_ms(const std::vector<ProfileEvent>& events);

// Per-op table, one line each: calls, total and mean ms, self ms (without the scopes inside), share
// of self in the sum over all, GFLOP/s and GB/s of the total. Sorted by self. More tables are in
// engine/profile/profile_report.h.
std::string profile_table(const std::vector<ProfileEvent>& events);
// The events in Chrome's trace-event JSON. The phase is the category; layer and phase are arguments
// of each event, too.
std::string chrome_trace(const std::vector<ProfileEvent>& events);

}  // namespace ek
