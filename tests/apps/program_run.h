#pragma once
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

struct ProgramRun {
  int code = -1;
  std::string out, error;
};

// A program of this build through the shell, in the folder.
inline ProgramRun run_program(const TempDir& dir, const std::string& program,
                              const std::string& arguments) {
  const std::string command = "cd '" + dir.path().string() + "' && '" + binary_dir() + "/bin/" +
                              program + "' " + arguments + " >stdout.txt 2>stderr.txt";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, file_bytes(dir / "stdout.txt"),
          file_bytes(dir / "stderr.txt")};
}

// One line "error: ...PART...", exit code 2, nothing on stdout.
inline void check_refused(const ProgramRun& run, const std::string& part) {
  CAPTURE(run.error);
  CHECK(run.code == 2);
  CHECK(run.out.empty());
  CHECK(run.error.starts_with("error: "));
  CHECK(contains(run.error, part));
  CHECK(std::count(run.error.begin(), run.error.end(), '\n') == 1);
}
