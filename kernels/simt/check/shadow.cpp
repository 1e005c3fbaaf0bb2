#include <fmt/format.h>
#include <link.h>

#include "kernels/simt/buffers.h"
#include "kernels/simt/check/checked.h"
#include "kernels/simt/check/messages.h"
#include "kernels/simt/clock.h"

extern "C" char __executable_start, _end;  // by the linker: the program's image

namespace ek::simt {

constinit bool checked = false;

namespace {

const char* verb(Access access) {
  return access == Access::read ? "a read" : access == Access::write ? "a write" : "an atomic";
}

struct Range {
  const char* begin = nullptr;
  std::size_t bytes = 0;
  bool holds(const void* p) const {
    const char* at = static_cast<const char*>(p);
    return at >= begin && at < begin + bytes;
  }
};

// The thread-local variables of the program, on this OS thread.
const Range& thread_locals() {
  static thread_local const Range range = [] {
    Range found;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* to) {
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
            *static_cast<Range*>(to) = {static_cast<const char*>(info->dlpi_tls_data),
                                        info->dlpi_phdr[i].p_memsz};
          }
          return 1;  // the first object is the program
        },
        &found);
    return found;
  }();
  return range;
}

// Memory that is the thread's own or never changes: no business of the checks.
bool uninteresting(const void* address) {
  if (current->lane->fiber->contains(address)) return true;
  const auto* p = static_cast<const char*>(address);
  if (p >= &__executable_start && p < &_end) return true;
  const Range arguments{static_cast<const char*>(current->launch->arguments),
                        current->launch->arguments_bytes};
  return arguments.holds(address) || thread_locals().holds(address);
}

std::string who(const Mark& mark) {
  const Block& block = *current->block;
  if (mark.serial != block.serial) return "a thread of another block";
  return "thread " + show(block.warps[mark.thread / 32].lanes[mark.thread % 32].index);
}

struct Accessor {
  const Lane& lane;
  Access access;
  std::size_t bytes;
  Origin at;
  const char* space;  // "shared" or "global"

  [[noreturn]] void fail(std::string&& what, Origin other = {}) const {
    current->fail(std::move(what), at, other);
  }

  void conflict(const Mark& mark, const char* other, std::uint8_t mask) const {
    if (!(mark.bytes & mask) || (mark.atomic && access == Access::atomic)) return;
    if (ordered_before(mark, lane)) return;
    const char* missing = mark.serial == current->block->serial
                              ? "no barrier lies between"
                              : "no fence and atomic on both sides lie between";
    std::string what = fmt::format("{} of {} memory that {} {}: {}", verb(access), space, who(mark),
                                   other, missing);
    fail(std::move(what), mark.at);
  }

  void visit(Cell& cell, std::uint8_t mask) const {
    const bool writes = access != Access::read;
    if (access != Access::write && (cell.written & mask) != mask) {
      fail(fmt::format("{} of {} memory that nothing has written", verb(access), space));
    }
    for (const Mark& mark : cell.writes) conflict(mark, "wrote", mask);
    if (writes) {
      for (const Mark& mark : cell.reads) conflict(mark, "read", mask);
      cell.written |= mask;
    }
    note(writes ? cell.writes : cell.reads, mask);
  }

  // Remembers the access: in the entry of the same thread, of bytes that it covers, or the older.
  void note(std::array<Mark, 2>& marks, std::uint8_t mask) const {
    const Mark mark = mark_of(lane, mask, access == Access::atomic, at);
    Mark& newest = marks[0];
    if (newest.serial == mark.serial && newest.thread == mark.thread) {
      const bool same_time =
          newest.block_epoch == mark.block_epoch && newest.lane_epoch == mark.lane_epoch;
      const std::uint8_t before = same_time ? newest.bytes : 0;
      newest = mark;
      newest.bytes |= before;
      return;
    }
    if (access != Access::write || (newest.bytes & ~mask) != 0) marks[1] = newest;
    newest = mark;
  }

  void visit_cells(std::vector<Cell>& cells, std::uintptr_t base, std::uintptr_t from) const {
    for (std::uintptr_t p = from; p < from + bytes;) {
      const unsigned first = unsigned(p % 4);
      const unsigned count = unsigned(std::min<std::uintptr_t>(4 - first, from + bytes - p));
      visit(cells[(p - base) / 4], std::uint8_t(((1u << count) - 1) << first));
      p += count;
    }
  }
};

}  // namespace

void check_access(const void* address, std::size_t bytes, Access access, const Lane& by,
                  Origin at) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  Block& block = *current->block;
  Accessor accessor{by, access, bytes, at, "shared"};
  if (block.arena.contains(address)) {
    if (!block.arena.declared(address, bytes)) {
      accessor.fail(
          fmt::format("{} of {} bytes past the end of shared memory", verb(access), bytes));
    }
    const auto base = reinterpret_cast<std::uintptr_t>(block.arena.begin());
    accessor.visit_cells(block.clock->shared, base, begin);
    return;
  }
  accessor.space = "global";
  if (Buffer* buffer = find_buffer(address)) {
    const auto base = reinterpret_cast<std::uintptr_t>(buffer->begin);
    if (begin + bytes > base + buffer->bytes) {
      accessor.fail(fmt::format("{} of {} bytes, of which {} are past the end of '{}' ({} bytes)",
                                verb(access), bytes, begin + bytes - base - buffer->bytes,
                                buffer->name, buffer->bytes));
    }
    accessor.visit_cells(buffer->cells, base / 4 * 4, begin);
    return;
  }
  if (uninteresting(address)) return;
  std::string what = fmt::format("{} of {} bytes, {}", verb(access), bytes, locate(address));
  accessor.fail(std::move(what));
}

void spoil(const void* shared, std::size_t bytes) {
  Block& block = *current->block;
  const std::size_t first =
      std::size_t(static_cast<const unsigned char*>(shared) - block.arena.begin()) / 4;
  for (std::size_t i = first; i < first + bytes / 4; ++i) block.clock->shared[i].written = 0;
}

}  // namespace ek::simt
