#include "backend/registry.h"

#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "backend/environment.h"
#include "backend/release.h"
#include "device/device.h"
#include "ggml-impl.h"

namespace sightline::backend {
namespace {

std::unique_ptr<device::Device> refuse(const std::string& why) {
  GGML_LOG_ERROR("sightline: %s Running without Sightline.\n", why.c_str());
  return nullptr;
}

std::unique_ptr<device::Device> make_device() {
  if (running_release() != built_release()) {
    return refuse(std::string("built for llama.cpp " SIGHTLINE_LLAMA_RELEASE " with ggml ") +
                  built_release() + ", but this program runs ggml " + running_release() + ".");
  }
  const auto read = read_environment(std::getenv);
  if (const auto* wrong = std::get_if<std::string>(&read)) return refuse(*wrong);
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) return refuse("the program has loaded no CPU backend yet.");

  const auto& settings = std::get<Settings>(read);
  auto device = std::make_unique<device::Device>(cpu);
  device->own_cache({.policy = settings.policy,
                     .budget_bytes = settings.budget_bytes,
                     .capacity = device::kAnyCapacity,
                     .gives_up = true});
  GGML_LOG_INFO("sightline: %s, kernels %s\n", describe(settings).c_str(),
                std::string(device->kernel_name()).c_str());
  return device;
}

}  // namespace

ggml_backend_reg_t registry() noexcept try {
  static std::mutex mutex;
  // Never destroyed: the program may compute until its process is gone.
  static device::Device* device = nullptr;
  const std::lock_guard lock(mutex);
  if (device == nullptr) device = make_device().release();
  return device != nullptr ? device->registry() : nullptr;
} catch (const std::exception& error) {
  GGML_LOG_ERROR("sightline: %s\n", error.what());
  return nullptr;
}

}  // namespace sightline::backend
