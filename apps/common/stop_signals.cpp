#include "apps/common/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/io/temporaries.h"

namespace ek {
namespace {

constexpr int exit_interrupted = 130;
volatile sig_atomic_t requested = 0;
volatile sig_atomic_t on_terminal = 0;

// Only what a signal handler may call.
void say(const char* text) {
  const int before = errno;
  if (on_terminal) (void)!::write(STDERR_FILENO, "\r\033[K", 4);
  (void)!::write(STDERR_FILENO, text, std::strlen(text));
  errno = before;
}

extern "C" void on_stop_signal(int signal) {
  if (!requested) {
    requested = 1;
    say("stopping: the present step or chunk of images ends, then a checkpoint is written; Ctrl-C "
        "again ends at once without one\n");
  } else if (signal == SIGINT) {
    say("ended without a new checkpoint\n");
    unlink_temporaries();
    ::_exit(exit_interrupted);
  }
}

}  // namespace

void catch_stop_signals() {
  // A reader of the output that is gone is an error of the write, and no end of the run.
  ::signal(SIGPIPE, SIG_IGN);
  on_terminal = ::isatty(STDERR_FILENO) == 1;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
}

bool stop_requested() {
  return requested != 0;
}

}  // namespace ek
