#pragma once
#include <cstddef>
#include <vector>

// Launches that fail, and launches that tell what ran when.
namespace ek::simt::test {

void launch_named();
void launch_throwing();
void launch_refusing();
void launch_overflowing();
void launch_too_much_shared();
void launch_asking_for_more();
void launch_nothing(unsigned grid, unsigned block, std::size_t shared_bytes = 0);

// By thread: when it ran.
std::vector<int> order_of_execution(unsigned blocks, unsigned threads);

// A grid of 2 x 3 x 4 blocks of 5 x 2 x 3 threads: 1 at every place that a thread reached.
std::vector<int> all_indices();

}  // namespace ek::simt::test
