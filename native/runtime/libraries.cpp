#include "runtime/libraries.h"

#include <mutex>
#include <string_view>

#include "llama.h"
#include "runtime/llama_log.h"

namespace sightline::runtime {

std::string built_release() { return SIGHTLINE_LLAMA_RELEASE; }

std::string loaded_release() {
  const std::string_view version = llama_version();  // "0.5.0-dev" in the binaries of tag v0.5.0
  std::string release = "v";
  return release += version.substr(0, version.find('-'));
}

Result<ggml_backend_dev_t> cpu_device(const std::string& folder) {
  // Struct layouts and operation numbers differ between releases and nothing else checks them.
  if (built_release() != loaded_release()) {
    return Error{Code::release_mismatch, "Sightline was built for llama.cpp " + built_release() +
                                             " but the library beside it is " + loaded_release() +
                                             ". Reinstall Sightline, or run `npm run build`."};
  }
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (device == nullptr) {
    const LogCapture log;
    ggml_backend_load_all_from_path(folder.c_str());
    device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  }
  if (device == nullptr) {
    return Error{Code::backend_missing, "No CPU backend of llama.cpp runs on this machine from " +
                                            folder + ". Reinstall Sightline for this platform."};
  }
  return device;
}

}  // namespace sightline::runtime
