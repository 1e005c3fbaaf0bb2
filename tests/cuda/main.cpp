// test-cuda [gpu]: the cases on the first GPU; where there is none, one line says why, and the exit
// status is 4. Without arguments: the cases on the simt device.
#ifdef EK_CATCH3
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <cstdio>
#include <string_view>

#include "engine/tensor/device.h"

int main(int argc, char* argv[]) {
  constexpr ek::Device gpu{ek::Device::Kind::cuda};
  constexpr int no_gpu = 4;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t at = argument.find("[gpu]");
    const bool wanted = at != argument.npos && (at == 0 || argument[at - 1] != '~');
    if (wanted && !ek::is_available(gpu)) {
      std::printf("not run: the cases with [gpu]: %s\n", ek::why_unavailable(gpu).c_str());
      return no_gpu;
    }
  }
  return Catch::Session().run(argc, argv);
}
