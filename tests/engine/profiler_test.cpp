#include "engine/profile/profiler.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tests/catch.h"

using namespace ek;

namespace {

ProfileEvent event(std::string name, double start_ms, double duration_ms, int depth,
                   double flops = 0, double bytes = 0, int thread = 0) {
  return {std::move(name), "", start_ms, duration_ms, flops, bytes, depth, thread};
}

std::string line_of(const std::string& table, const std::string& name) {
  const std::size_t begin = table.find("\n" + name + " ");
  if (begin == std::string::npos) return "";
  return table.substr(begin + 1, table.find('\n', begin + 1) - begin - 1);
}

}  // namespace

TEST_CASE("a profiler that is off records nothing and asks for no detail") {
  CHECK(!profiler_on());
  bool asked = false;
  {
    ProfileScope scope("op", [&] { return asked = true, std::string("[1]"); });
  }
  CHECK(!asked);
  CHECK(profiler_stop().empty());
}

TEST_CASE("scopes nest, and are listed in the order in which they began") {
  profiler_start();
  {
    ProfileScope step("step");
    {
      ProfileScope conv(
          "conv2d", [] { return std::string("[2, 3]"); }, 100, 20);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ProfileScope relu("relu");
  }
  ProfileScope last("last");
  const auto events = profiler_stop();
  CHECK(!profiler_on());
  REQUIRE(events.size() == 4);
  CHECK(events[0].name == "step");
  CHECK(events[1].name == "conv2d");
  CHECK(events[1].detail == "[2, 3]");
  CHECK(events[1].flops == 100);
  CHECK(events[1].bytes == 20);
  CHECK(events[2].name == "relu");
  CHECK(events[3].name == "last");
  CHECK(events[0].depth == 0);
  CHECK(events[1].depth == 1);
  CHECK(events[2].depth == 1);
  CHECK(events[3].depth == 0);
  // sleep_for never sleeps less than asked; all of conv2d lies within step.
  CHECK(events[1].duration_ms >= 2);
  CHECK(events[0].duration_ms >= events[1].duration_ms);
  CHECK(events[1].start_ms >= events[0].start_ms);
  CHECK(events[2].start_ms >= events[1].start_ms + events[1].duration_ms);
  for (const auto& e : events) CHECK(e.duration_ms >= 0);
}

TEST_CASE("a scope that outlives its session touches nothing of the next") {
  profiler_start();
  std::optional<ProfileScope> scope(std::in_place, "old");
  CHECK(profiler_stop().size() == 1);
  profiler_start();
  { ProfileScope first("new"); }
  scope.reset();
  ProfileScope second("second");
  const auto events = profiler_stop();
  REQUIRE(events.size() == 2);
  CHECK(events[0].name == "new");
  CHECK(events[1].depth == 0);
}

TEST_CASE("threads have depths and numbers of their own") {
  profiler_start();
  {
    ProfileScope outer("outer");
    std::thread([] { ProfileScope inner("inner"); }).join();
  }
  const auto events = profiler_stop();
  REQUIRE(events.size() == 2);
  CHECK(events[1].depth == 0);
  CHECK(events[1].thread != events[0].thread);
}

TEST_CASE("the table sums per op, without counting nested time twice") {
  // step of 10 ms around two convolutions of 3 ms, and beside it, in another thread, a load of 2
  // ms.
  const std::string table =
      profile_table({event("step", 0, 10, 0), event("conv2d", 1, 3, 1, 3e6),
                     event("conv2d", 5, 3, 1, 3e6, 6e6), event("load", 2, 2, 0, 0, 4e6, 1)});
  // self: conv2d 6, step 4, load 2 of 12 ms; GFLOP/s = 6e6 / 6 ms = 1.0; GB/s 1.0 and 2.0.
  const auto words = [](const std::string& line) {
    std::vector<std::string> list;
    std::istringstream stream(line);
    for (std::string word; stream >> word;) list.push_back(word);
    return list;
  };
  using Words = std::vector<std::string>;
  CHECK(words(line_of(table, "conv2d")) ==
        Words{"conv2d", "2", "6.000", "3.0000", "6.000", "50.0%", "1.0", "1.0"});
  CHECK(words(line_of(table, "step")) ==
        Words{"step", "1", "10.000", "10.0000", "4.000", "33.3%", "-", "-"});
  CHECK(words(line_of(table, "load")) ==
        Words{"load", "1", "2.000", "2.0000", "2.000", "16.7%", "-", "2.0"});
  CHECK(table.find("\nconv2d ") < table.find("\nstep "));
  CHECK(table.find("\nstep ") < table.find("\nload "));
  CHECK(profile_table({}).find('\n') != std::string::npos);
}

TEST_CASE("the trace is Chrome's JSON, whatever the names") {
  ProfileEvent odd = event("quote \" backslash \\ newline \n", 1.5, 0.25, 0, 7, 0, 3);
  odd.detail = "not UTF-8: \xff";
  const auto trace = nlohmann::json::parse(chrome_trace({odd, event("b", 2, 1, 0)}));
  const auto& list = trace.at("traceEvents");
  REQUIRE(list.size() == 2);
  CHECK(list[0].at("name") == odd.name);
  CHECK(list[0].at("ph") == "X");
  CHECK(list[0].at("ts") == 1500.0);
  CHECK(list[0].at("dur") == 250.0);
  CHECK(list[0].at("tid") == 3);
  CHECK(list[0].at("args").at("flops") == 7.0);
  CHECK(list[0].at("args").contains("detail"));
  CHECK(list[1].at("args").empty());
}
