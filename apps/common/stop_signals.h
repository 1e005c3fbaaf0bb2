#pragma once

namespace ek {

// SIGINT (Ctrl-C), SIGTERM and SIGHUP ask the program to stop where it can; the first says so in a
// line on stderr at once. One more Ctrl-C ends the process then and there with exit code 130 and
// removes its temporary files (engine/io/temporaries.h). A SIGHUP that is ignored (nohup) stays so.
// SIGPIPE is ignored: the run goes on when nobody reads its output any more.
void catch_stop_signals();
// Whether one has come.
bool stop_requested();

}  // namespace ek
