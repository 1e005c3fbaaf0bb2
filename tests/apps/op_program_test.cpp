// The program ek-op itself: exit codes, one line of error, nothing half written.
#include "tests/apps/op_files.h"
#include "tests/apps/program_run.h"

using namespace op_files;
using ek::DType;
using ek::Tensor;

namespace {

ProgramRun ek_op(const TempDir& dir, const std::string& arguments) {
  return run_program(dir, "ek-op", arguments);
}

void write_image(const TempDir& dir) {
  ek::write_safetensors(dir / "in.st", {{"x", real({1, -2, 3, -4}, {1, 1, 2, 2})},
                                        {"ct.y", real({1, 1, 1, 1}, {1, 1, 2, 2})}});
}

}  // namespace

TEST_CASE("ek-op program: a file in, a file out", "[op]") {
  const TempDir dir;
  write_image(dir);
  const ProgramRun run = ek_op(dir, "relu --in in.st --out out.st --vjp --dtype float32 --print");
  CAPTURE(run.error);
  CHECK(run.code == 0);
  CHECK(contains(run.out, "y  float32 [1, 1, 2, 2]\n"));
  const Outputs out{ek::read_safetensors(dir / "out.st").tensors};
  CHECK(out["y"].dtype() == DType::float32);
  CHECK(out["y"].to_vector() == std::vector<double>{1, 0, 3, 0});
  CHECK(out["grad.x"].to_vector() == std::vector<double>{1, 0, 1, 0});
  CHECK(!out.has("tangent.y"));
  CHECK(ek::read_safetensors_metadata(dir / "out.st").at("op") == "relu");
}

TEST_CASE("ek-op program: the printed command of an example runs", "[op]") {
  const TempDir dir;
  for (const std::string name : {"conv2d", "loss:logit-adjusted", "metagrad:difficulty-net"}) {
    const ProgramRun made = ek_op(dir, name + " --example example.st");
    CHECK(made.code == 0);
    REQUIRE(made.out.starts_with("ek-op " + name + " --in example.st"));
    std::string arguments = made.out.substr(6);
    arguments.pop_back();
    const ProgramRun run = ek_op(dir, arguments);
    CAPTURE(run.error);
    CHECK(run.code == 0);
    CHECK(contains(run.out, "float64"));
  }
  const ProgramRun list = ek_op(dir, "--list");
  CHECK(list.code == 0);
  CHECK(contains(list.out, "metagrad:difficulty-net: "));
  CHECK(ek_op(dir, "--help").code == 0);
}

TEST_CASE("ek-op program: hostile files are refused in one line", "[op]") {
  const TempDir dir;
  write_image(dir);
  const std::string whole_file = file_bytes(dir / "in.st");
  const auto refused = [&](const std::string& bytes, const std::string& part) {
    put_file(dir / "bad.st", bytes);
    check_refused(ek_op(dir, "relu --in bad.st --out out.st"), part);
    CHECK(!std::filesystem::exists(dir / "out.st"));
  };
  for (const std::size_t size :
       {std::size_t(0), std::size_t(7), std::size_t(40), whole_file.size() - 1}) {
    refused(whole_file.substr(0, size), "bad.st: ");
  }
  refused(std::string(8, '\xff') + whole_file.substr(8), "bad.st: a header of");
  const std::string header =
      R"({"x":{"dtype":"F64","shape":[1099511627776,1099511627776],"data_offsets":[0,8]}})";
  std::string lying(8, '\0');
  lying[0] = char(header.size());
  refused(lying + header + std::string(8, '\0'), "which is too large");
  check_refused(ek_op(dir, "relu --in missing.st --out out.st"), "missing.st: cannot read");
}

TEST_CASE("ek-op program: what the command line got wrong", "[op]") {
  const TempDir dir;
  write_image(dir);
  check_refused(ek_op(dir, ""), "expected the NAME of an op");
  check_refused(ek_op(dir, "relo --in in.st --print"), "did you mean 'relu'?");
  check_refused(ek_op(dir, "relu"), "expected --in FILE");
  check_refused(ek_op(dir, "relu --in in.st"), "expected --out FILE or --print");
  check_refused(ek_op(dir, "relu --in in.st --print --example e.st"), "--example");
  check_refused(ek_op(dir, "relu --in in.st --print --attrs '{\"slope\": 1}'"),
                "unknown attribute 'slope'");
  check_refused(ek_op(dir, "relu --in in.st --print --attrs '{'"), "syntax error");
  check_refused(ek_op(dir, "relu --in in.st --print --dtype bfloat16"),
                "relu is not there in bfloat16");
  check_refused(ek_op(dir, "relu --in in.st --print --device tpu"), "--device tpu");

  ek::write_safetensors(dir / "labels.st", {{"logits", Tensor::zeros({2, 3}, DType::float32)},
                                            {"labels", whole({0, 3})}});
  check_refused(ek_op(dir, "loss:cross-entropy --in labels.st --print"),
                "labels[1] = 3 is not in [0, 3)");
}

TEST_CASE("ek-op program: an output that cannot be written leaves nothing", "[op]") {
  const TempDir dir;
  write_image(dir);
  std::filesystem::create_directory(dir / "folder");
  const int before = dir.count() + 2;  // and what the shell makes of stdout and stderr
  check_refused(ek_op(dir, "relu --in in.st --out nowhere/out.st"), "nowhere/out.st: cannot write");
  check_refused(ek_op(dir, "relu --in in.st --out folder"), "folder: cannot write");
  CHECK(dir.count() == before);
  CHECK(std::filesystem::is_empty(dir / "folder"));
}

TEST_CASE("numbers on a command line are decimal and exact", "[programs]") {
  const TempDir dir;
  const std::string start = "--recipe synthetic/ce --out run ";
  check_refused(run_program(dir, "ek-train", start + "--seed 010"), "decimal number");
  check_refused(run_program(dir, "ek-train", start + "--max-steps 010"), "decimal number");
  check_refused(run_program(dir, "ek-train", start + "--threads 0x2"), "decimal number");
  check_refused(run_program(dir, "ek-train", start + "--seed -1"), "expected 0 or more");
  check_refused(run_program(dir, "ek-train", start + "--max-steps -5"), "expected 0 or more");
  check_refused(run_program(dir, "ek-train", start + "--seed 9007199254740993"),
                "9007199254740993");
  check_refused(run_program(dir, "ek-train", start + "--set seed=010"), "expected an integer");
  check_refused(run_program(dir, "ek-train", start + "--set seed=-1"), "expected an integer");
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
}
