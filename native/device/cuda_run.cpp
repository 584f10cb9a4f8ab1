#include "device/cuda_run.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "attention/format/format.h"
#include "device/graph.h"

namespace sightline::device {

namespace cuda = attention::cuda;
using attention::Copy;

namespace {

/// An event of ggml's CUDA device is one of the driver's.
cuda::EventHandle* handle_of(ggml_backend_event_t event) {
  return static_cast<cuda::EventHandle*>(event->context);
}

std::vector<cuda::AppendSegment> segments_of(const cache::Layer& layer) {
  const cache::Geometry geometry = layer.geometry();
  std::vector<cuda::AppendSegment> segments;
  layer.each_segment([&](const cache::Segment& segment) {
    const Copy& copy = *segment.copy;
    const attention::Extent extent = copy.extent(geometry.head_dim);
    segments.push_back(
        {.copy = const_cast<std::byte*>(copy.data),
         .part_bytes = static_cast<int32_t>(attention::part_bytes(copy.tier, extent)),
         .values_offset = static_cast<int32_t>(attention::values_offset(copy.tier, extent)),
         .capacity = copy.capacity,
         .at = segment.at,
         .first = segment.first,
         .count = segment.count});
  });
  return segments;
}

/// A layer's copies to be coded, in batches of which none needs another of its own.
template <typename Recoding>
std::vector<Recoding> recodings_of(const cache::Layer& layer) {
  const auto [kv_heads, head_dim] = layer.geometry();
  std::vector<Recoding> batches;
  std::set<const std::byte*> written;
  layer.each_recoding([&](const cache::Recoding& one) {
    if (batches.empty() || written.contains(one.from->data)) {
      batches.emplace_back();
      written.clear();
    }
    batches.back().jobs.add(kv_heads, head_dim, one.first, *one.from, *one.to);
    written.insert(one.to->data);
  });
  return batches;
}

/// The blocks whose tokens' attention is asked for: in FP16, whatever else they are in.
std::vector<cuda::CopyView> observed_blocks(const attention::Problem& problem) {
  std::vector<cuda::CopyView> views;
  for (const attention::Block& block : problem.blocks) {
    if (block.end() <= problem.received.first) continue;
    const Copy& copy = block.copies[0];
    views.push_back(cuda::CopyView::of(copy, problem.shape.head_dim, block.first));
  }
  return views;
}

size_t mass_bytes(const attention::Problem& problem) {
  return static_cast<size_t>(problem.shape.kv_heads) *
         static_cast<size_t>(problem.received.stride) * sizeof(float);
}

}  // namespace

CudaContext::CudaContext(cuda::Launcher& launcher, ggml_backend_t inner)
    : launcher_(launcher),
      inner_(inner),
      theirs_(ggml_backend_event_new(ggml_backend_get_device(inner))),
      ours_(ggml_backend_event_new(ggml_backend_get_device(inner))) {
  const cuda::Gpu::Current current(launcher_.gpu());
  upload_.emplace(launcher_.gpu());
  for (auto* scratch : scratches()) scratch->emplace(launcher_.gpu());
}

CudaContext::~CudaContext() {
  const cuda::Gpu::Current current(launcher_.gpu());
  upload_.reset();
  for (auto* scratch : scratches()) scratch->reset();
}

std::vector<GraphPiece>& CudaContext::pieces(
    ggml_cgraph* graph, const std::function<bool(const ggml_tensor*)>& is_ours) {
  if (graph->uid != 0 && graph->uid == graph_uid_) return pieces_;
  graph_uid_ = graph->uid;
  pieces_.clear();
  for (int i = 0; i < graph->n_nodes; i++) {
    const bool ours = is_ours(graph->nodes[i]);
    // Views compute nothing: they stay with what they are among.
    const bool joins =
        !pieces_.empty() && (ours == pieces_.back().ours || is_view(graph->nodes[i]));
    if (joins) {
      pieces_.back().last = i + 1;
    } else {
      pieces_.push_back({i, i + 1, ours, {}});
    }
  }
  for (GraphPiece& piece : pieces_) {
    if (piece.ours) continue;
    piece.graph = ggml_graph_view(graph, piece.first, piece.last);
    if (graph->uid != 0) piece.graph.uid = ggml_graph_next_uid();
  }
  return pieces_;
}

CudaRun::CudaRun(CudaContext& context, const Step& step, ggml_cgraph* graph)
    : context_(context), graph_(graph) {
  const cuda::Gpu::Current current(context_.launcher_.gpu());
  plan_appends(step);
  plan_attentions(step);
  pieces_ = &context_.pieces(graph, [&](const ggml_tensor* node) {
    return append_of_.contains(node) || attend_of_.contains(node);
  });
  reserve_scratch();
  send();
}

void CudaRun::plan_appends(const Step& step) {
  std::map<std::pair<cache::Sequence*, int32_t>, size_t> places;
  for (const AppendNode& node : step.appends()) {
    const auto [place, is_new] = places.try_emplace({node.cache, node.layer}, appends_.size());
    if (is_new) {
      const cache::Layer& layer = node.cache->layer(node.layer);
      appends_.emplace_back();
      appends_.back().geometry = node.geometry;
      appends_.back().segments = segments_of(layer);
      appends_.back().recodings = recodings_of<Recoding>(layer);
      appends_.back().arguments.head_dim = node.geometry.head_dim;
    }
    Append& append = appends_[place->second];
    append_of_[node.node] = {place->second, node.keys};
    (node.keys ? append.arguments.keys : append.arguments.values) = {
        node.rows.data, static_cast<int64_t>(node.rows.stride)};
  }
}

void CudaRun::plan_attentions(const Step& step) {
  for (const auto& node : step.attentions()) {
    const attention::Problem& problem = node->problem;
    attend_of_[node->node] = attends_.size();
    attends_.push_back(
        {node.get(), cuda::Plan::make(problem.shape,
                                      {problem.visible, static_cast<size_t>(problem.shape.tokens)},
                                      problem.blocks, context_.launcher_.gpu().info())});
    attends_.back().arguments = {.q = problem.q.data,
                                 .q_token_stride = problem.q.token_stride,
                                 .q_head_stride = problem.q.head_stride,
                                 .out = problem.out.data,
                                 .scale = problem.scale,
                                 .softcap = problem.softcap,
                                 .sinks = problem.sinks,
                                 .slopes = nullptr,
                                 .visible = nullptr,
                                 .mask = problem.mask,
                                 .mask_stride = problem.mask_stride,
                                 .copies = nullptr,
                                 .tiles = nullptr,
                                 .partials = nullptr,
                                 .arrivals = nullptr,
                                 .states = nullptr,
                                 .heads = problem.shape.heads,
                                 .kv_heads = problem.shape.kv_heads,
                                 .rotates = attends_.back().plan.rotates};
    if (problem.received.mass != nullptr) attends_.back().observed = observed_blocks(problem);
  }
}

/// Layers come one after the other: what a launch needs for itself they share. The attention that
/// tokens receive is kept for all of them until the end.
void CudaRun::reserve_scratch() {
  cuda::Stream& stream = context_.launcher_.stream();
  size_t recoded = 0, partials = 0, arrivals = 0, states = 0, masses = 0;
  for (const Append& append : appends_)
    for (const Recoding& recoding : append.recodings)
      recoded = std::max(recoded, recoding.jobs.scratch_bytes());
  for (const Attend& attend : attends_) {
    partials = std::max(partials, attend.plan.partial_floats() * sizeof(float));
    arrivals = std::max(arrivals, attend.plan.arrivals() * sizeof(int32_t));
    if (attend.observed.empty()) continue;
    const attention::Problem& problem = attend.node->problem;
    states = std::max(states, sizeof(cuda::RowState) *
                                  attention::area(problem.shape.tokens, problem.shape.heads));
    masses += mass_bytes(problem);
  }
  const auto reserve = [&]<typename T>(std::optional<cuda::Scratch>& scratch, size_t bytes,
                                       T*& to) {
    to = bytes == 0 ? nullptr : reinterpret_cast<T*>(scratch->reserve(bytes, stream));
  };
  std::byte* scratch = nullptr;
  reserve(context_.recoded_, recoded, scratch);
  for (Append& append : appends_)
    for (Recoding& recoding : append.recodings) recoding.jobs.place_scratch(scratch);
  cuda::RowState* row_states = nullptr;
  float* mass = nullptr;
  reserve(context_.states_, states, row_states);
  reserve(context_.masses_, masses, mass);
  for (Attend& attend : attends_) {
    reserve(context_.partials_, partials, attend.arguments.partials);
    reserve(context_.arrivals_, arrivals, attend.arguments.arrivals);
    if (attend.observed.empty()) continue;
    const attention::Problem& problem = attend.node->problem;
    attend.arguments.states = row_states;
    attend.observation.mass = mass;
    mass += mass_bytes(problem) / sizeof(float);
  }
}

/// Everything the kernels read besides tensors and blocks goes in one piece.
void CudaRun::send() {
  // Calls act(list, where its address goes) for every list.
  const auto each_list = [&](const auto& act) {
    for (Append& append : appends_) {
      act(append.segments, append.arguments.segments);
      for (Recoding& recoding : append.recodings) {
        act(recoding.jobs.restores(), recoding.restores);
        act(recoding.jobs.codes(), recoding.codes);
      }
    }
    for (Attend& attend : attends_) {
      act(attend.plan.copies, attend.arguments.copies);
      act(attend.plan.tiles, attend.arguments.tiles);
      act(attend.node->slopes, attend.arguments.slopes);
      act(attend.observed, attend.observation.attend.copies);
    }
  };
  const auto visible_of = [](const Attend& attend) {
    const attention::Problem& problem = attend.node->problem;
    return std::span(problem.visible, static_cast<size_t>(problem.shape.tokens));
  };
  std::map<const int32_t*, const int32_t*> visible;  // layers with one mask share it
  size_t bytes = 0;
  each_list([&]<typename T>(const std::vector<T>& list, const T*&) {
    bytes += cuda::Upload::room_for<T>(list.size());
  });
  for (const Attend& attend : attends_)
    if (visible.emplace(attend.node->problem.visible, nullptr).second)
      bytes += cuda::Upload::room_for<int32_t>(visible_of(attend).size());

  cuda::Upload& upload = *context_.upload_;
  upload.start(bytes);
  each_list([&]<typename T>(const std::vector<T>& list, const T*& place) {
    if (!list.empty()) place = upload.put(std::span(list));
  });
  for (Attend& attend : attends_) {
    const int32_t*& place = visible[attend.node->problem.visible];
    if (place == nullptr) place = upload.put(visible_of(attend));
    attend.arguments.visible = place;
  }
  upload.send(context_.launcher_.stream());
}

ggml_status CudaRun::submit(const std::function<bool()>& aborts) {
  cuda::Launcher& launcher = context_.launcher_;
  for (GraphPiece& piece : *pieces_) {
    if (aborts()) return GGML_STATUS_ABORTED;
    if (!piece.ours) {
      const ggml_status status = ggml_backend_graph_compute_async(context_.inner_, &piece.graph);
      if (status != GGML_STATUS_SUCCESS) return status;
      continue;
    }
    const cuda::Gpu::Current current(launcher.gpu());
    ggml_backend_event_record(context_.theirs_.get(), context_.inner_);
    launcher.stream().wait_for(handle_of(context_.theirs_.get()));
    launch(piece);
    launcher.stream().record(handle_of(context_.ours_.get()));
    ggml_backend_event_wait(context_.inner_, context_.ours_.get());
  }
  fetch_masses();
  return GGML_STATUS_SUCCESS;
}

ggml_status CudaRun::submit(const std::function<bool()>& aborts,
                            const std::vector<ProfiledNode>& nodes, Profile& profile) {
  cuda::Launcher& launcher = context_.launcher_;
  const auto time_ours = [&](const Operation& operation, const Cost& cost, auto put) {
    const cuda::Gpu::Current current(launcher.gpu());
    profile.time(operation, cost, [&] {
      put();
      launcher.stream().synchronize();
      return true;
    });
  };
  {
    const cuda::Gpu::Current current(launcher.gpu());
    launcher.stream().synchronize();  // what was sent
  }
  std::map<size_t, Cost> coding;  // of appends whose other side comes later
  for (const ProfiledNode& node : nodes) {
    if (aborts()) return GGML_STATUS_ABORTED;
    const ggml_tensor* tensor = graph_->nodes[node.index];
    if (const auto found = append_of_.find(tensor); found != append_of_.end()) {
      const auto [index, keys] = found->second;
      Append& layer = appends_[index];
      time_ours(node.operation, node.cost, [&] { append(layer, keys, !keys); });
      if (!node.coding) continue;
      Cost& both = coding[index];
      both.flops += node.coding->cost.flops;
      both.bytes += node.coding->cost.bytes;
      if (layer.stored < 2) continue;
      Operation operation = node.coding->operation;
      operation.role = "cache";
      time_ours(operation, both, [&] { recode(layer); });
    } else if (const auto attention = attend_of_.find(tensor); attention != attend_of_.end()) {
      time_ours(node.operation, node.cost, [&] { attend(attends_[attention->second]); });
    } else {
      const ggml_status status = profile.time(node.operation, node.cost, [&] {
        return compute_alone(context_.inner_, graph_, node.index);
      });
      if (status != GGML_STATUS_SUCCESS) return status;
    }
  }
  fetch_masses();
  return GGML_STATUS_SUCCESS;
}

/// The cache counts them when the step is committed.
void CudaRun::fetch_masses() {
  cuda::Launcher& launcher = context_.launcher_;
  const cuda::Gpu::Current current(launcher.gpu());
  bool any = false;
  for (const Attend& attend : attends_) {
    if (attend.observed.empty()) continue;
    const attention::Problem& problem = attend.node->problem;
    launcher.stream().fetch(problem.received.mass, attend.observation.mass, mass_bytes(problem));
    any = true;
  }
  if (any) launcher.stream().synchronize();
}

void CudaRun::launch(const GraphPiece& piece) {
  struct Sides {
    bool keys = false, values = false;
  };
  std::map<size_t, Sides> appended;
  for (int i = piece.first; i < piece.last; i++) {
    const auto found = append_of_.find(graph_->nodes[i]);
    if (found == append_of_.end()) continue;
    const auto [index, keys] = found->second;
    (keys ? appended[index].keys : appended[index].values) = true;
  }
  for (const auto& [index, sides] : appended) {
    append(appends_[index], sides.keys, sides.values);
    if (appends_[index].stored == 2) recode(appends_[index]);
  }
  for (int i = piece.first; i < piece.last; i++) {
    const auto found = attend_of_.find(graph_->nodes[i]);
    if (found == attend_of_.end()) continue;
    attend(attends_[found->second]);
  }
}

void CudaRun::attend(const Attend& attend) {
  context_.launcher_.attend(attend.plan, attend.arguments);
  if (attend.observed.empty()) return;
  const attention::Problem& problem = attend.node->problem;
  cuda::ObserveArguments arguments = attend.observation;
  const cuda::CopyView* copies = arguments.attend.copies;
  arguments.attend = attend.arguments;
  arguments.attend.copies = copies;
  arguments.tokens = problem.shape.tokens;
  arguments.head_dim = problem.shape.head_dim;
  arguments.first = problem.received.first;
  arguments.count = problem.received.count;
  arguments.stride = problem.received.stride;
  context_.launcher_.observe(arguments, attend.observed.size());
}

void CudaRun::append(Append& append, bool keys, bool values) {
  cuda::Launcher& launcher = context_.launcher_;
  const int sides = (keys ? 1 : 0) + (values ? 1 : 0);
  append.arguments.first_side = keys ? 0 : 1;
  launcher.append(append.arguments, append.geometry.kv_heads, append.segments.size(), sides);
  append.stored += sides;
}

/// After both sides have been appended.
void CudaRun::recode(const Append& append) {
  for (const Recoding& recoding : append.recodings)
    context_.launcher_.recode({recoding.restores, recoding.jobs.restores().size()},
                              {recoding.codes, recoding.jobs.codes().size()},
                              append.geometry.head_dim);
}

}  // namespace sightline::device
