// Runs as their users end, resume and mistake them, by the programs.
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "engine/io/safetensors.h"
#include "tests/apps/program_run.h"
#include "tests/methods/tiny_data.h"

using namespace ek;
namespace fs = std::filesystem;

namespace {

// A program of this build on a terminal of `columns`.
class OnTerminal {
 public:
  OnTerminal(const TempDir& dir, std::vector<std::string> arguments, unsigned short columns) {
    winsize size{24, columns, 0, 0};
    child_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    arguments[0] = binary_dir() + "/bin/" + arguments[0];
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::chdir(dir.path().c_str()) == 0) ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~OnTerminal() {
    if (!ended_) ::kill(child_, SIGKILL), ::waitpid(child_, nullptr, 0);
    ::close(terminal_);
  }

  void resize(unsigned short columns) {
    const winsize size{24, columns, 0, 0};
    CHECK(::ioctl(terminal_, TIOCSWINSZ, &size) == 0);
  }
  void press_ctrl_c() { CHECK(::write(terminal_, "\x03", 1) == 1); }
  // Reads until `text` has come after what was read before, or the program ends.
  bool wait_for(const std::string& text) {
    const std::size_t from = output.size();
    while (output.find(text, from) == std::string::npos) {
      if (!read_more()) return false;
    }
    return true;
  }
  int exit_code() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(child_, &status, 0);
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::string output;

 private:
  bool read_more() {
    char bytes[4096];
    const ssize_t got = ::read(terminal_, bytes, sizeof bytes);
    if (got > 0) output.append(bytes, std::size_t(got));
    return got > 0;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
};

// The longest of the lines that are redrawn in their place, from `begin` on.
std::size_t widest_redrawn(const std::string& output, std::size_t begin) {
  std::size_t widest = 0;
  for (std::size_t at = output.find("\r\033[K", begin); at != std::string::npos;) {
    const std::size_t next = output.find_first_of("\r\n", at + 4);
    const std::string line = output.substr(at + 4, next - at - 4);
    if (contains(line, "step ") && !contains(line, "accuracy")) {
      widest = std::max(widest, line.size());
    }
    at = output.find("\r\033[K", at + 4);
  }
  return widest;
}

std::string recipe_file(const TempDir& dir) {
  put_file(dir / "recipe.json", tiny_recipe("supervised"));
  tiny_data(dir);
  return "--recipe recipe.json --data tiny ";
}

}  // namespace

TEST_CASE("the progress line fits the terminal and follows its size", "[faults]") {
  const TempDir dir;
  OnTerminal run(dir, {"ek-train", "--recipe", "synthetic/ce", "--out", "run"}, 72);
  for (int redraw = 0; redraw < 4; ++redraw) REQUIRE(run.wait_for("step "));
  CHECK(widest_redrawn(run.output, 0) > 40);
  CHECK(widest_redrawn(run.output, 0) <= 71);
  run.resize(30);
  REQUIRE(run.wait_for("step "));  // may have been drawn before
  REQUIRE(run.wait_for("step "));
  const std::size_t from = run.output.size();
  for (int redraw = 0; redraw < 3; ++redraw) REQUIRE(run.wait_for("step "));
  CHECK(widest_redrawn(run.output, from) > 0);
  CHECK(widest_redrawn(run.output, from) <= 29);
}

TEST_CASE("Ctrl-C answers at once and leaves a checkpoint, a second one ends without", "[faults]") {
  const TempDir dir;
  const std::vector<std::string> command{"ek-train",    "--recipe", "synthetic/ce",
                                         "--out",       "run",      "--set",
                                         "log.every=1", "--set",    "checkpoint.every=3"};
  {
    OnTerminal run(dir, command, 100);
    while (!fs::exists(dir / "run" / "last.safetensors")) REQUIRE(run.wait_for("step "));
    run.press_ctrl_c();
    REQUIRE(run.wait_for("Ctrl-C again ends at once"));
    CHECK(run.exit_code() == 130);
    CHECK(contains(run.output, "--resume --out run goes on"));
  }
  const std::string before = file_bytes(dir / "run" / "last.safetensors");
  CHECK_FALSE(before.empty());
  CHECK_FALSE(fs::exists(dir / "run" / "run.lock"));
  {
    OnTerminal run(dir, {"ek-train", "--resume", "--out", "run"}, 100);
    REQUIRE(run.wait_for("/600"));
    run.press_ctrl_c();
    run.press_ctrl_c();
    CHECK(run.exit_code() == 130);
  }
  // Whichever checkpoint there is, it is whole, and nothing lies beside it.
  CHECK(std::stoll(read_safetensors_metadata(dir / "run" / "last.safetensors")["step"]) >= 3);
  for (const auto& entry : fs::directory_iterator(dir / "run")) {
    CHECK(entry.path().extension() != ".tmp");
    CHECK(entry.path().filename() != "run.lock");
  }
}

TEST_CASE("SIGHUP and SIGTERM end a run with a checkpoint, and kill -9 does not hold it",
          "[faults]") {
  for (const int signal : {SIGHUP, SIGTERM, SIGKILL}) {
    INFO(signal);
    const TempDir dir;
    const std::string start = fmt::format(
        "--list >list.txt; '{0}/bin/ek-train' --recipe synthetic/ce --out run "
        "--set checkpoint.every=2 & P=$!; "
        "while ! [ -e run/last.safetensors ]; do sleep 0.05; done; "
        "'{0}/bin/ek-train' --resume --out run 2>second.txt; echo $? >code.txt; kill -{1} $P; wait "
        "$P",
        binary_dir(), signal);
    const ProgramRun run = run_program(dir, "ek-train", start);
    CHECK(run.code == (signal == SIGKILL ? 128 + SIGKILL : 130));
    CHECK(file_bytes(dir / "code.txt") == "2\n");
    const std::string second = file_bytes(dir / "second.txt");
    CHECK(second.starts_with("error: --out run: in use by process "));
    CHECK(std::ranges::count(second, '\n') == 1);
    const std::int64_t step =
        std::stoll(read_safetensors_metadata(dir / "run" / "last.safetensors")["step"]);
    CHECK(run_program(dir, "ek-train", fmt::format("--resume --out run --max-steps {}", step + 1))
              .code == 0);
  }
}

TEST_CASE("a run outlives the reader of its output", "[faults]") {
  const TempDir dir;
  const ProgramRun run = run_program(dir, "ek-train",
                                     "--list >list.txt; '" + binary_dir() + "/bin/ek-train' " +
                                         recipe_file(dir) + "--out run 2>&1 | head -n 1");
  CHECK(run.out.starts_with("data: "));
  REQUIRE(fs::exists(dir / "run" / "last.safetensors"));
  CHECK(read_safetensors_metadata(dir / "run" / "last.safetensors")["step"] == "4");
}

TEST_CASE("a file that may not grow is an error that leaves nothing", "[faults]") {
  const TempDir dir;
  const ProgramRun run = run_program(dir, "ek-data",
                                     "--help >/dev/null; ulimit -f 40; '" + binary_dir() +
                                         "/bin/ek-train' " + recipe_file(dir) + "--out run");
  CHECK(run.code == 2);
  CHECK(contains(run.error, "cannot write: File too large"));
  CHECK_FALSE(fs::exists(dir / "run"));
}

TEST_CASE("--resume --out is enough; what is given again must agree", "[faults]") {
  const TempDir dir;
  const std::string given = recipe_file(dir);
  REQUIRE(
      run_program(dir, "ek-train", given + "--set optim.lr=0.02 --out run --max-steps 1").code ==
      0);
  check_refused(run_program(dir, "ek-train", given + "--resume --out run"),
                "recipe differs in optim.lr: 0.02 in the run, 0.05 now");
  check_refused(run_program(dir, "ek-train", "--resume --out run --set batch_size=2"),
                "recipe differs in batch_size");
  check_refused(run_program(dir, "ek-train", "--resume --out run --seed 1"),
                "recipe differs in seed");
  check_refused(run_program(dir, "ek-train", "--resume --out run --init x.safetensors"),
                "--init differs: none in the run, x.safetensors now");
  check_refused(run_program(dir, "ek-train", "--resume --out run --precision float64"),
                "--precision differs");
  CHECK(run_program(dir, "ek-train", "--resume --out run --max-steps 2").code == 0);
  fs::rename(dir / "tiny", dir / "moved");
  check_refused(run_program(dir, "ek-train", "--resume --out run"), "tiny");
  CHECK(run_program(dir, "ek-train",
                    given + "--data moved --set optim.lr=0.02 --resume --out run")
            .code != 0);  // --data twice
  CHECK(run_program(dir, "ek-train", "--resume --out run --data moved").code == 0);
}

TEST_CASE("a class that was renamed makes other data", "[faults]") {
  const TempDir dir;
  REQUIRE(run_program(dir, "ek-train", recipe_file(dir) + "--out run --max-steps 1").code == 0);
  for (const char* part : {"train", "test"}) {
    fs::rename(dir / "tiny" / part / "blue", dir / "tiny" / part / "zinc");
  }
  const std::string difference = R"(class 0 is "blue" there, "green" here (--allow-other-data)";
  check_refused(run_program(dir, "ek-eval", "--checkpoint run --data tiny"), difference);
  check_refused(run_program(dir, "ek-train", "--resume --out run"), difference);
  CHECK(run_program(dir, "ek-eval", "--checkpoint run --data tiny --allow-other-data").code == 0);
}

TEST_CASE("starting weights of a run folder, and of other classes", "[faults]") {
  const TempDir dir;
  REQUIRE(run_program(dir, "ek-train", recipe_file(dir) + "--out run --max-steps 1").code == 0);
  const std::string other = "--recipe synthetic/ce --set model.name=resnet8 --max-steps 0 ";
  check_refused(run_program(dir, "ek-train", other + "--out a --init run"), "--init-head new");
  CHECK_FALSE(fs::exists(dir / "a"));
  REQUIRE(run_program(dir, "ek-train", other + "--out a --init run --init-head new").code == 0);
  REQUIRE(run_program(dir, "ek-train", other + "--out fresh").code == 0);
  const auto from = read_safetensors(dir / "run" / "best.safetensors"),
             to = read_safetensors(dir / "a" / "last.safetensors"),
             fresh = read_safetensors(dir / "fresh" / "last.safetensors");
  const char* body = "layer1.0.conv1.weight";
  CHECK(to.find(body)->to_vector() == from.find(body)->to_vector());
  CHECK(to.find("linear.weight")->to_vector() == fresh.find("linear.weight")->to_vector());
}
