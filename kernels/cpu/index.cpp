// The part of kernels/reduce.h that follows an index: rows, segments, picks, predictions.

#include <vector>

#include "kernels/cpu/blocks.h"
#include "kernels/math/argmax.h"
#include "kernels/math/long_sum.h"
#include "kernels/reduce.h"

namespace ek::kernels {

template <class B, class T>
void take_rows(Stream, std::int64_t count, std::int64_t width, const T* values,
               const std::int64_t* index, T* out) {
  cpu::for_item_blocks(count, width, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(values + index[i] * width, width, out + i * width);
    }
  });
}

namespace {

// Columns [begin, end) of every segment's sum, in the order of i, as long sums (kernels/math).
template <class T>
void long_segment_sum(std::int64_t begin, std::int64_t end, std::int64_t count, std::int64_t width,
                      std::int64_t segments, const T* values, const std::int64_t* index, T* out) {
  const std::int64_t columns = end - begin;
  std::vector<math::LongSum<T>> sums(static_cast<std::size_t>(segments * columns));
  for (std::int64_t i = 0; i < count; ++i) {
    if (index[i] < 0 || index[i] >= segments) continue;
    const T* from = values + i * width + begin;
    math::LongSum<T>* to = sums.data() + index[i] * columns;
    for (std::int64_t c = 0; c < columns; ++c) to[c].add(from[c]);
  }
  for (std::int64_t s = 0; s < segments; ++s) {
    for (std::int64_t c = 0; c < columns; ++c) {
      out[s * width + begin + c] = sums[std::size_t(s * columns + c)].value();
    }
  }
}

}  // namespace

// Parallel over columns: within a column the order of i is what fixes the bits.
template <class B, class T>
void segment_sum(Stream, std::int64_t count, std::int64_t width, std::int64_t segments,
                 const T* values, const std::int64_t* index, T* out) {
  const std::int64_t columns = std::max<std::int64_t>(64, cpu::kBlockElements / (count + 1));
  cpu::for_blocks(width, columns, [=](std::int64_t begin, std::int64_t end) {
    if (count > math::plain_terms) {
      long_segment_sum(begin, end, count, width, segments, values, index, out);
      return;
    }
    for (std::int64_t s = 0; s < segments; ++s) {
      std::fill(out + s * width + begin, out + s * width + end, T(0));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      if (index[i] < 0 || index[i] >= segments) continue;
      const T* from = values + i * width;
      T* to = out + index[i] * width;
#pragma omp simd
      for (std::int64_t c = begin; c < end; ++c) to[c] += from[c];
    }
  });
}

template <class B, class T>
void pick(Stream, std::int64_t rows, std::int64_t columns, const T* values,
          const std::int64_t* index, T* out) {
  cpu::for_item_blocks(rows, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = values[i * columns + index[i]];
  });
}

template <class B, class T>
void place(Stream, std::int64_t rows, std::int64_t columns, const T* values,
           const std::int64_t* index, T* out) {
  cpu::for_item_blocks(rows, columns, [=](std::int64_t begin, std::int64_t end) {
    std::fill(out + begin * columns, out + end * columns, T(0));
    for (std::int64_t i = begin; i < end; ++i) out[i * columns + index[i]] = values[i];
  });
}

template <class B, class T>
void argmax_rows(Stream, std::int64_t rows, std::int64_t columns, const T* values,
                 std::int64_t* prediction) {
  cpu::for_item_blocks(rows, columns, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      prediction[i] = math::first_maximum(values + i * columns, columns);
    }
  });
}

template <class B>
void count_correct(Stream, std::int64_t rows, const std::int64_t* prediction,
                   const std::int64_t* labels, std::int64_t* correct, std::int64_t* total) {
  for (std::int64_t i = 0; i < rows; ++i) {
    ++total[labels[i]];
    if (prediction[i] == labels[i]) ++correct[labels[i]];
  }
}

template decltype(take_rows<Cpu, float>) take_rows<Cpu, float>;
template decltype(take_rows<Cpu, double>) take_rows<Cpu, double>;
template decltype(take_rows<Cpu, std::int64_t>) take_rows<Cpu, std::int64_t>;
template decltype(segment_sum<Cpu, float>) segment_sum<Cpu, float>;
template decltype(segment_sum<Cpu, double>) segment_sum<Cpu, double>;
template decltype(pick<Cpu, float>) pick<Cpu, float>;
template decltype(pick<Cpu, double>) pick<Cpu, double>;
template decltype(place<Cpu, float>) place<Cpu, float>;
template decltype(place<Cpu, double>) place<Cpu, double>;
template decltype(argmax_rows<Cpu, float>) argmax_rows<Cpu, float>;
template decltype(argmax_rows<Cpu, double>) argmax_rows<Cpu, double>;
template decltype(count_correct<Cpu>) count_correct<Cpu>;

}  // namespace ek::kernels
