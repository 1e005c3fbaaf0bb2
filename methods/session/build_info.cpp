#include "methods/session/build_info.h"

#include "kernels/base/info.h"

namespace ek {

nlohmann::json build_versions() {
  return {{"evenkeel", EK_VERSION},
          {"compiler", __VERSION__},
          {"instruction_set", EK_ARCH_NAME},
          {"convolutions", kernels::cpu_convolutions()}};
}

}  // namespace ek
