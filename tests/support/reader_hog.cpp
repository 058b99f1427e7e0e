#include "support/reader_hog.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "spool/lmdb.hpp"

namespace m2b::test {
namespace {

constexpr char kTake = 't';
constexpr char kGiveBack = 'g';
constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 30;

std::vector<lmdb::Txn> take_places(MDB_env* env) {
  std::vector<lmdb::Txn> places;
  try {
    while (true) {
      places.push_back(lmdb::Txn::read(env));
    }
  } catch (const lmdb::Error& error) {
    if (error.code() != MDB_READERS_FULL) {
      throw;
    }
  }
  return places;
}

/// The life of the other process: obeys until the socket is closed.
void obey(int socket, const std::filesystem::path& environment) {
  std::optional<lmdb::EnvHandle> env;
  std::vector<lmdb::Txn> places;
  char what = 0;
  while (::read(socket, &what, 1) == 1) {
    places.clear();
    if (what == kTake) {
      if (!env) {
        env = lmdb::open_env(environment, kMapBytes);
      }
      places = take_places(env->get());
    }
    if (::write(socket, &what, 1) != 1) {
      break;
    }
  }
}

}  // namespace

ReaderHog::ReaderHog(const std::filesystem::path& environment) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw std::runtime_error("socketpair failed");
  }
  socket_ = Fd(sockets[0]);
  Fd theirs(sockets[1]);
  std::cout.flush();  // or the child may write it as well
  child_ = ::fork();
  if (child_ == 0) {
    socket_ = Fd();
    try {
      obey(theirs.get(), environment);
    } catch (const std::exception&) {
      ::_exit(1);  // seen by the other side as a closed socket
    }
    ::_exit(0);
  }
}

ReaderHog::~ReaderHog() {
  socket_ = Fd();
  ::waitpid(child_, nullptr, 0);
}

void ReaderHog::take_all() { command(kTake); }

void ReaderHog::give_back() { command(kGiveBack); }

void ReaderHog::command(char what) {
  char answer = 0;
  if (::write(socket_.get(), &what, 1) != 1 || ::read(socket_.get(), &answer, 1) != 1) {
    throw std::runtime_error("the other process has ended");
  }
}

}  // namespace m2b::test
