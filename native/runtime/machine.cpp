#include "runtime/machine.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace sightline::runtime {

#if defined(_WIN32)

size_t memory_limit() {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? static_cast<size_t>(status.ullTotalPhys) : 0;
}

#else

size_t memory_limit() {
  const auto pages = sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = sysconf(_SC_PAGESIZE);
  size_t limit = pages > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page_bytes) : 0;
  std::ifstream container("/sys/fs/cgroup/memory.max");  // "max" where there is no limit
  size_t bytes = 0;
  if (container >> bytes) limit = limit == 0 ? bytes : std::min(limit, bytes);
  return limit;
}

#endif

int default_threads() {
  std::set<std::string> cores;  // Linux names the threads of each core; elsewhere the set is empty
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int cpu = 0; cpu < threads; cpu++) {
    std::ifstream siblings("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                           "/topology/thread_siblings_list");
    std::string list;
    if (siblings >> list) cores.insert(list);
  }
  return std::max(1, (cores.empty() ? threads : static_cast<int>(cores.size())) - 1);
}

}  // namespace sightline::runtime
