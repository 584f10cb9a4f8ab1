#pragma once
// The nodes of a step on a GPU: the graph is cut at them, ggml's CUDA backend computes what lies
// between the cuts, and our kernels run on a stream of ours. Events order the two; the program
// itself waits for neither.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "attention/cuda/launcher.h"
#include "attention/cuda/upload.h"
#include "device/profiled_nodes.h"
#include "device/step.h"
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

namespace sightline::device {

/// A run of nodes between two cuts, or the nodes of one cut.
struct GraphPiece {
  int first, last;  // nodes [first, last) of the graph
  bool ours;
  ggml_cgraph graph;  // where it is not ours
};

/// What one backend keeps from step to step.
class CudaContext {
 public:
  /// `inner`: a backend of ggml's CUDA device on the launcher's GPU. Both outlive this.
  CudaContext(attention::cuda::Launcher& launcher, ggml_backend_t inner);
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;
  ~CudaContext();

  /// The graph in pieces: the same ones, with the same ids, as long as the graph is the same, so
  /// that ggml's CUDA graphs of them stay valid. `is_ours` tells of a node.
  std::vector<GraphPiece>& pieces(ggml_cgraph* graph,
                                  const std::function<bool(const ggml_tensor*)>& is_ours);

 private:
  friend class CudaRun;
  struct FreeEvent {
    void operator()(ggml_backend_event_t event) const { ggml_backend_event_free(event); }
  };
  using EventPointer = std::unique_ptr<ggml_backend_event, FreeEvent>;

  std::array<std::optional<attention::cuda::Scratch>*, 5> scratches() {
    return {&recoded_, &partials_, &arrivals_, &states_, &masses_};
  }

  attention::cuda::Launcher& launcher_;
  ggml_backend_t inner_;
  EventPointer theirs_, ours_;
  std::optional<attention::cuda::Upload> upload_;
  std::optional<attention::cuda::Scratch> recoded_, partials_, arrivals_, states_, masses_;
  uint64_t graph_uid_ = 0;
  std::vector<GraphPiece> pieces_;
};

class CudaRun {
 public:
  /// Sends what the kernels are told of this step. Throws DriverError. The step and the graph
  /// outlive the run.
  CudaRun(CudaContext& context, const Step& step, ggml_cgraph* graph);
  CudaRun(const CudaRun&) = delete;
  CudaRun& operator=(const CudaRun&) = delete;

  /// Puts everything into the streams; `aborts` is asked between the pieces. Waits for the end only
  /// where the policy asks for the attention that tokens receive. Throws DriverError.
  ggml_status submit(const std::function<bool()>& aborts);
  /// The same node by node, waiting for each: they are the profile's events, and what codes blocks
  /// is an event of its own. Throws DriverError.
  ggml_status submit(const std::function<bool()>& aborts, const std::vector<ProfiledNode>& nodes,
                     Profile& profile);

 private:
  /// Jobs that do not depend on each other.
  struct Recoding {
    attention::cuda::RecodeJobs jobs;
    const attention::cuda::RestoreJob* restores = nullptr;  // where they are sent to
    const attention::cuda::CodeJob* codes = nullptr;
  };
  /// A layer's rows, keys and values.
  struct Append {
    cache::Geometry geometry;
    std::vector<attention::cuda::AppendSegment> segments;
    std::vector<Recoding> recodings;
    attention::cuda::AppendArguments arguments{};
    int stored = 0;  // sides
  };
  struct Attend {
    const AttentionNode* node;
    attention::cuda::Plan plan;
    attention::cuda::AttendArguments arguments{};
    // Where the policy asks for the attention that tokens receive: the blocks they are in.
    std::vector<attention::cuda::CopyView> observed = {};
    attention::cuda::ObserveArguments observation{};
  };

  void plan_appends(const Step& step);
  void plan_attentions(const Step& step);
  void reserve_scratch();
  void send();
  void launch(const GraphPiece& piece);
  void append(Append& append, bool keys, bool values);
  void recode(const Append& append);
  void attend(const Attend& attend);
  void fetch_masses();

  CudaContext& context_;
  ggml_cgraph* graph_;
  std::vector<GraphPiece>* pieces_ = nullptr;
  std::vector<Append> appends_;
  std::vector<Attend> attends_;
  std::map<const ggml_tensor*, std::pair<size_t, bool>> append_of_;  // whether it is the keys'
  std::map<const ggml_tensor*, size_t> attend_of_;
};

}  // namespace sightline::device
