#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/simt/check/checked.h"
#include "kernels/simt/executor.h"

// cp.async: a copy waits in its thread's queue, with poison in its place, until the thread waits
// for the group. What reads too early, or waits for too few groups, shows.
namespace ek::simt {

namespace {

void perform(const PendingCopy& copy, std::size_t bytes) {
  if (checked) check_access(copy.shared, bytes, Access::write, *current->lane, copy.site);
  if (copy.global) {
    std::memcpy(copy.shared, copy.global, bytes);
  } else {
    std::memset(copy.shared, 0, bytes);
  }
}

}  // namespace

void copy_async(void* shared, const void* global, int bytes, bool valid, Site site) {
  const InRuntime guard;
  Executor& e = running_executor("cp_async");
  const auto to = reinterpret_cast<std::uintptr_t>(shared);
  const auto from = reinterpret_cast<std::uintptr_t>(global);
  const auto size = std::size_t(bytes);
  const SharedArena& arena = e.block->arena;
  if (!arena.contains(shared) || !arena.declared(shared, size)) {
    e.fail("cp_async into something that is not shared memory", site);
  }
  if (arena.contains(global)) e.fail("cp_async from shared memory", site);
  if (to % size != 0 || (valid && from % size != 0)) {
    e.fail(fmt::format("cp_async of {} bytes, {} bytes off its alignment", bytes,
                       to % size != 0 ? to % size : from % size),
           site);
  }
  if (checked) {
    if (valid) check_access(global, size, Access::read, *e.lane, site);
    check_access(shared, size, Access::write, *e.lane, site);
    spoil(shared, size);
  }
  const PendingCopy copy{shared, valid ? global : nullptr, bytes, e.lane->group, site};
  if (e.used.copies == AsyncCopy::at_issue) {
    perform(copy, size);
    if (checked) spoil(shared, size);
  } else {
    std::memset(shared, e.used.poison, size);
  }
  e.lane->copies.push_back(copy);
}

void copy_async_commit(Site) {
  const InRuntime guard;
  ++running_executor("cp_async_commit").lane->group;
}

void copy_async_wait(int pending_groups, Site) {
  const InRuntime guard;
  Lane& lane = *running_executor("cp_async_wait").lane;
  // Copies that no commit closed belong to no group, and no wait for groups reaches them.
  const auto done = [&](const PendingCopy& copy) {
    return copy.group + unsigned(pending_groups) < lane.group;
  };
  for (const PendingCopy& copy : lane.copies) {
    if (done(copy)) perform(copy, std::size_t(copy.bytes));
  }
  std::erase_if(lane.copies, done);
}

}  // namespace ek::simt
