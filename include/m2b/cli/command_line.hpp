#pragma once

#include <map>
#include <string>
#include <variant>

namespace m2b {

/// What the command line asks for.
struct CommandLine {
  enum class Action {
    run,      ///< the daemon
    check,    ///< validate the configuration and exit
    connect,  ///< validate it, call broker and store, and exit
    health    ///< ask the running daemon whether it lives, for container health checks
  };
  Action action = Action::run;
  bool writes = false;                            // connect: a probe object as well
  bool json = false;                              // connect: for programs
  std::map<std::string, std::string> flags = {};  // by setting name, e.g. BROKER_URL
};

/// The process ends now: after --help, --version, --settings, or a mistake in the arguments.
struct Exit {
  int code = 0;          // 0 or EX_USAGE
  std::string out = {};  // for stdout
  std::string err = {};  // for stderr
};

/// The only place that knows argv. A mistake gives one line, and never shows the value of a secret.
[[nodiscard]] std::variant<CommandLine, Exit> parse_command_line(int argc, const char* const* argv);

}  // namespace m2b
