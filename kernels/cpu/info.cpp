#include "kernels/info.h"

#include <fmt/format.h>

#ifdef EK_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

namespace ek::kernels {

std::string cpu_convolutions() {
#ifdef EK_HAS_ONEDNN
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
#else
  return "plain OpenMP loops";
#endif
}

}  // namespace ek::kernels
