#include "kernels/base/info.h"

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

std::string cpu_bf16() {
#ifdef EK_HAS_ONEDNN
  // The values are sets of bits: an instruction set holds those that it extends.
  const auto has = [](dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; };
  if (has(dnnl_cpu_isa_avx512_core_amx)) return "AMX";
  if (has(dnnl_cpu_isa_avx512_core_bf16)) return "AVX-512 bf16";
#endif
  return "";
}

}  // namespace ek::kernels
