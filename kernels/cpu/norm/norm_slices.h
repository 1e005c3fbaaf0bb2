#pragma once
#include <cstdint>

#include "kernels/cpu/norm/norm_partials.h"
#include "kernels/norm.h"

// The norm kernels on some of the rows of a tensor, for a kernel that has just computed those rows
// and goes on with them while they are in the cache. Each runs on the calling thread alone.
// Pointers lead to the first row of the slice, `rows` (also in NormParams) counts its rows. What is
// reduced over rows is left per channel in double; a second function turns the totals of all slices
// (sum_partials, merge_partials) into the results of kernels/norm.h, whose kernels are built of the
// same parts. T is float, double or bf16.
//
// norm_act_forward and norm_act_jvp reduce nothing: call them on a slice as they are. Within a
// parallel region they stay on their thread.
namespace ek::kernels::cpu {

// Mean and sum of squared deviations of y [rows, channels], rows >= 1. Merge with merge_partials.
template <class T>
void slice_moments(std::int64_t rows, std::int64_t channels, const T* y, double* mean, double* m2);

// mean, var from the moments of all rows.
template <class T>
void finish_moments(std::int64_t rows, std::int64_t channels, const double* total_mean,
                    const double* total_m2, Acc<T>* mean, Acc<T>* var);

// channel_stats_vjp for `rows` of the total_rows that the statistics were taken over.
template <class T>
void slice_stats_vjp(std::int64_t rows, std::int64_t total_rows, std::int64_t channels, const T* y,
                     const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                     T* dy);

// sums = sum y_tangent     products = sum (y - mean) y_tangent
template <class T>
void slice_stats_jvp(std::int64_t rows, std::int64_t channels, const T* y, const Acc<T>* mean,
                     const T* y_tangent, double* sums, double* products);
template <class T>
void finish_stats_jvp(std::int64_t total_rows, std::int64_t channels, const double* sums,
                      const double* products, Acc<T>* mean_tangent, Acc<T>* var_tangent);

// dy and dshortcut (may be null) of norm_act_vjp for the cotangent dact + dact_more (null: zero),
// and
//   sums = sum g     products = sum g (y - mean)      (xhat without its factor r)
template <class T>
void slice_act_vjp(const NormParams<T>& params, const T* y, const T* act, const T* dact,
                   const T* dact_more, T* dy, T* dshortcut, double* sums, double* products);

// The cotangents per channel of `out` that are not null; dy and dshortcut are not touched.
template <class T>
void finish_act_vjp(const NormParams<T>& params, const double* sums, const double* products,
                    const NormActCotangents<T>& out);

}  // namespace ek::kernels::cpu
