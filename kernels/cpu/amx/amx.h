#pragma once

namespace ek::kernels::cpu {

// Whether this process may use the AMX tiles for bf16 products, with AVX-512 beside them. The first
// call asks the system for the permission.
bool has_amx_bf16();

}  // namespace ek::kernels::cpu
