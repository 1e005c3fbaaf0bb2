// A graph of the simt device: a list of launches, copies and fills, run one by one.
#include <cstring>
#include <optional>
#include <variant>

#include "engine/graph/capture.h"

#ifdef EK_HAS_SIMT_DEVICE
#include "kernels/simt/check/recording.h"

namespace ek {
namespace {

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};
struct Fill {
  void* memory;
  std::size_t bytes;
  int byte;
};

class SimtRecorder final : public GraphRecorder {
 public:
  void begin() override {
    recorder_.emplace([this](simt::RecordedLaunch launch) {
      contents_.kernels.push_back(launch.title());
      nodes_.emplace_back(std::move(launch));
    });
  }
  GraphContents end() override {
    recorder_.reset();
    return contents_;
  }
  void abandon() noexcept override { recorder_.reset(); }

  void copy(void* to, const void* from, std::size_t bytes) override {
    ++contents_.copies;
    nodes_.emplace_back(Copy{to, from, bytes});
  }
  void zero(void* memory, std::size_t bytes) override {
    ++contents_.fills;
    nodes_.emplace_back(Fill{memory, bytes, 0});
  }
  void poison(void* memory, std::size_t bytes) override {
    nodes_.emplace_back(Fill{memory, bytes, 0xFF});
  }

  void replay() override {
    for (const auto& node : nodes_) std::visit([](const auto& each) { run(each); }, node);
  }

 private:
  static void run(const simt::RecordedLaunch& launch) { launch.run(); }
  static void run(const Copy& copy) { std::memcpy(copy.to, copy.from, copy.bytes); }
  static void run(const Fill& fill) { std::memset(fill.memory, fill.byte, fill.bytes); }

  std::optional<simt::LaunchRecorder> recorder_;
  std::vector<std::variant<simt::RecordedLaunch, Copy, Fill>> nodes_;
  GraphContents contents_;
};

}  // namespace

std::unique_ptr<GraphRecorder> simt_recorder() {
  return std::make_unique<SimtRecorder>();
}

}  // namespace ek
#else
namespace ek {

std::unique_ptr<GraphRecorder> simt_recorder() {
  fail("graph: {}", why_unavailable({Device::Kind::simt}));
}

}  // namespace ek
#endif
