// scripts/gpu-check.sh where there is no GPU: with stand-ins for the programs, and for the tools of
// the machine, the shell code of every part runs and tells what became of them.
#include <regex>

#include "tests/apps/program_run.h"
#include "tests/paths.h"

namespace {

// What stands in for a program, by name, in the folders of a TempDir.
class StandIns {
 public:
  StandIns() {
    program("p/ek-check",
            "case \"$*\" in\n"
            "ops) echo relu; echo conv2d ;;\n"
            "versions) echo gemm=plain; echo gemm=mma; echo head_forward=plain ;;\n"
            "*gemm=mma*) echo 'error: gemm: wrong' >&2; exit 1 ;;\n"
            "*) echo '3 checks passed, 0 failed' ;;\n"
            "esac");
    program("p/ek-op",
            "case \"$*\" in\n"
            "*--example*) echo \"ek-op $1 --in $3 --print\" ;;\n"
            "linear*cuda*) echo 'error: linear: no such kernel' >&2; exit 2 ;;\n"
            "esac");
    program("p/ek-bench-step",
            "[[ $* != *--write-tuning* ]] || echo '{}' > \"${!#}\"\n"
            "printf '{\"step_ms\":{\"median\":0.5,\\n \"min\":0.25}}\\n'");
    program("p/ek-bench",
            "[[ $* != *conv2d_tangent* ]] || exit 139\n"
            "echo '{}' > \"${!#}\"");
    program("p/ek-train",
            "while [[ $1 != --out ]]; do shift; done\n"
            "mkdir -p \"$2\"; echo '{\"kind\":\"eval\"}' > \"$2/metrics.jsonl\"\n"
            "[[ $2 != *run-bf16 ]] || { echo 'error: capture' >&2; exit 1; }\n"
            "echo '{}' > \"$2/summary.json\"");
    program("p/ek-eval", "exit 0");
    program("p/test-cuda",
            "case \"$*\" in\n"
            "'--list-test-names-only [gpu]') printf '  gpu: one, two\\ngpu: late\\n'; exit 2 ;;\n"
            "--list*) echo \"${2//\\\\/}\" ;;\n"
            "*late*) exec sleep 60 ;;\n"
            "'gpu: one\\, two'*) ;;\n"
            "*) exit 1 ;;\n"
            "esac");
    program("bin/nvidia-smi", "echo 'a GPU, 1.0, 16 MiB'");
    program("bin/python3",
            "case \"$*\" in\n"
            "*compile-graph*) echo 'RuntimeError: no compiler' >&2; exit 1 ;;\n"
            "*kernel_table.py*) echo 'device memory: 2 GB a step' ;;\n"
            "*torch_resnet32*) echo '{\"step_ms\": {\"median\": 2.5}}' ;;\n"
            "esac");
    program("bin/ncu", "echo '\"ID\"'");
    program("bin/compute-sanitizer", "[[ $* != *racecheck* ]] || exit 9");
    program("bin/xz", "cat \"$2\"");
    put_file(dir_ / "peers/torch_resnet32_bench.py", "");
    program("peers/run_all.sh",
            "mkdir -p \"$OUT\"; echo '{\"error\": \"exit 1\"}' > \"$OUT/peers_$1.jsonl\"");
    CHECK(std::system(("tar -C '" + dir_.path().string() + "' -cf '" +
                       (dir_ / "p/data.tar.xz").string() + "' peers")
                          .c_str()) == 0);
  }

  void program(const std::string& name, const std::string& text) {
    put_file(dir_ / name, "#!/usr/bin/env bash\nset -euo pipefail\n" + text + "\n");
    std::filesystem::permissions(dir_ / name, std::filesystem::perms::owner_all);
  }

  // The lines of summary.txt that tell of steps, without times; and the exit status.
  std::string check(const std::string& arguments, int expected_code) const {
    const std::string at = dir_.path().string();
    const std::string command = "PATH='" + at + "/bin':\"$PATH\" '" + source_dir() +
                                "/scripts/gpu-check.sh' --programs '" + at + "/p' --peers '" + at +
                                "/peers' --out '" + at + "/out' " + arguments + " >'" + at +
                                "/stdout.txt' 2>'" + at + "/stderr.txt'";
    const int status = std::system(command.c_str());
    CAPTURE(file_bytes(dir_ / "stdout.txt"), file_bytes(dir_ / "stderr.txt"));
    CHECK((WIFEXITED(status) ? WEXITSTATUS(status) : -1) == expected_code);
    CHECK(file_bytes(dir_ / "stderr.txt").empty());
    const std::string text = file_bytes(dir_ / "out/summary.txt");
    CHECK(contains(text, "machine: a GPU, 1.0, 16 MiB\nprocessor: "));
    const auto steps = text.find('\n', text.find(" not run "));
    return std::regex_replace(text.substr(std::min(steps, text.size() - 1) + 1),
                              std::regex(" \\(\\d+ s\\)"), "");
  }

  std::string file(const std::string& name) const { return file_bytes(dir_ / name); }

 private:
  TempDir dir_;
};

}  // namespace

TEST_CASE("gpu-check.sh tells what passed, failed and was not run", "[gpu-check]") {
  const StandIns stand_ins;
  CHECK(stand_ins.check("--seconds 60 ops", 1) ==
        "FAILED   ops: ek-op linear float64: error: linear: no such kernel\n"
        "FAILED   ops: ek-op linear float32: error: linear: no such kernel\n"
        "FAILED   ops: test with version 2 of each kernel: error: gemm: wrong\n"
        "FAILED   ops: test with gemm=mma: error: gemm: wrong\n"
        "passed   ops: test\n"
        "passed   ops: grad\n"
        "passed   ops: ek-op conv2d float64\n"
        "passed   ops: ek-op conv2d float32\n"
        "passed   ops: ek-op max_pool2d float64\n"
        "passed   ops: ek-op max_pool2d float32\n"
        "passed   ops: ek-op batch_norm float64\n"
        "passed   ops: ek-op batch_norm float32\n"
        "passed   ops: ek-op softmax_cross_entropy float64\n"
        "passed   ops: ek-op softmax_cross_entropy float32\n"
        "passed   ops: ek-op loss:logit-adjusted float64\n"
        "passed   ops: ek-op loss:logit-adjusted float32\n"
        "passed   ops: ek-op model:resnet20 float64\n"
        "passed   ops: ek-op model:resnet20 float32\n"
        "passed   ops: ek-op metagrad:difficulty-net float64\n"
        "passed   ops: ek-op metagrad:difficulty-net float32\n"
        "passed   ops: test with version 1 of each kernel\n"
        "passed   ops: test with gemm=plain\n"
        "passed   ops: test with head_forward=plain\n");
  CHECK(stand_ins.check("--seconds 7 tests", 0) ==
        "not run  tests: late: not done in 7 s\n"
        "passed   tests: one, two\n");
  CHECK(stand_ins.check("profile tune", 0) ==
        "passed   profile: plain tf32: device memory: 2 GB a step\n"
        "passed   profile: difficulty-net tf32: device memory: 2 GB a step\n"
        "passed   profile: plain bf16: device memory: 2 GB a step\n"
        "passed   profile: difficulty-net bf16: device memory: 2 GB a step\n"
        "passed   tune: plain tf32: median 0.5 ms\n"
        "passed   tune: difficulty-net tf32: median 0.5 ms\n"
        "passed   tune: plain bf16: median 0.5 ms\n"
        "passed   tune: difficulty-net bf16: median 0.5 ms\n"
        "passed   tune: plain float32: median 0.5 ms\n"
        "passed   tune: difficulty-net float32: median 0.5 ms\n"
        "passed   tune: the table is read again: median 0.5 ms\n");
  CHECK(stand_ins.check("train bench peers", 1) ==
        "FAILED   train: difficulty-net bf16: error: capture\n"
        "FAILED   bench: conv2d_tangent: ended by signal 11 (SIGSEGV)\n"
        "not run  peers: micro: 1 cases ended in an error\n"
        "passed   train: difficulty-net tf32\n"
        "passed   train: ek-eval of the tf32 run\n"
        "passed   train: difficulty-net bf16, op by op\n"
        "passed   train: ek-eval of the bf16 run\n"
        "passed   bench: norm_conv_forward\n"
        "passed   bench: norm_conv_vjp\n"
        "passed   bench: norm_conv_jvp\n"
        "passed   bench: conv2d_forward\n"
        "passed   bench: conv2d_backward_data\n"
        "passed   bench: conv2d_backward_weights\n"
        "passed   bench: gemm\n"
        "passed   bench: all others\n");
  CHECK(stand_ins.file("out/rates.json") ==
        "[\n{}\n,\n{}\n,\n{}\n,\n{}\n,\n{}\n,\n{}\n,\n{}\n,\n{}\n]\n");

  const std::string steps = stand_ins.check("step sanitizer", 1);
  CAPTURE(steps);
  for (const char* line :
       {"passed   step: plain tf32 --steps-per-graph 16: median 0.5 ms\n",
        "passed   step: difficulty-net float32 --steps-per-graph 0: median 0.5 ms\n",
        "passed   step: PyTorch plain bf16 eager: median 2.5 ms\n",
        "passed   step: PyTorch difficulty-net tf32 graph: median 2.5 ms\n",
        "passed   step: PyTorch difficulty-net tf32 eager reverse: median 2.5 ms\n",
        "not run  step: PyTorch plain bf16 compile-graph: RuntimeError: no compiler\n",
        "passed   sanitizer: memcheck norm_conv\n",
        "FAILED   sanitizer: racecheck conv: status 9\n", "passed   sanitizer: initcheck conv\n"}) {
    CHECK(contains(steps, line));
  }
}

TEST_CASE("gpu-check.sh goes on after a program that crashes or never ends", "[gpu-check]") {
  StandIns stand_ins;
  stand_ins.program("p/ek-check",
                    "case \"$*\" in\n"
                    "ops) echo relu; echo conv2d; echo add ;;\n"
                    "versions) ;;\n"
                    "*conv2d*) kill -SEGV $$ ;;\n"
                    "*--progress*) kill -ABRT $$ ;;\n"
                    "*) echo '3 checks passed, 0 failed' ;;\n"
                    "esac");
  stand_ins.program("p/ek-op", "exec sleep 60");
  const std::string steps = stand_ins.check("--seconds 60 --total 8 ops tests", 1);
  CAPTURE(steps);
  for (const char* line :
       {"FAILED   ops: test: ended by signal 6 (SIGABRT)\n",
        "FAILED   ops: test conv2d: ended by signal 11 (SIGSEGV)\n", "passed   ops: test relu\n",
        "passed   ops: test add\n", "passed   ops: grad\n",
        "not run  ops: ek-op conv2d float64: not done in ",
        "not run  ops: ek-op linear float32: no time left\n",
        "not run  tests: one, two: no time left\n"}) {
    CHECK(contains(steps, line));
  }
}
