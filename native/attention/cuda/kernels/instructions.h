#pragma once
// What kernels need besides C++, by nvcc. All inline PTX is here; the emulator's counterpart is
// emulator/device.h.

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

/// A kernel of so many threads a block, whose registers leave room for that many blocks at a time.
#define SIGHTLINE_KERNEL(name, threads, blocks, Arguments)      \
  extern "C" __global__ void __launch_bounds__(threads, blocks) \
      name(const __grid_constant__ Arguments arguments)

/// Before a loop whose body need not be there several times.
#define SIGHTLINE_ROLLED _Pragma("unroll 1")
/// Before a loop over what has to be in registers.
#define SIGHTLINE_UNROLLED _Pragma("unroll")

namespace sightline::attention::cuda {

inline constexpr uint32_t kAllLanes = 0xffffffffu;

__device__ inline uint3 thread_index() { return threadIdx; }
__device__ inline uint3 block_index() { return blockIdx; }
__device__ inline dim3 grid_size() { return gridDim; }
__device__ inline unsigned lane_index() { return threadIdx.x % 32; }

__device__ inline void sync_block() { __syncthreads(); }
__device__ inline void sync_warp() { __syncwarp(); }
__device__ inline bool any_lane(bool value) { return __any_sync(kAllLanes, value) != 0; }

template <typename T>
__device__ inline T shuffle_xor(T value, unsigned bits) {
  return __shfl_xor_sync(kAllLanes, value, static_cast<int>(bits));
}
template <typename T>
__device__ inline T shuffle(T value, unsigned lane) {
  return __shfl_sync(kAllLanes, value, static_cast<int>(lane));
}

/// The block's dynamic shared memory.
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ uint4 shared_memory[];
  return reinterpret_cast<std::byte*>(shared_memory);
}

template <typename T>
__device__ inline T read(const T* from) {
  if constexpr (std::is_same_v<T, uint64_t>) {
    return __ldg(reinterpret_cast<const unsigned long long*>(from));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return __ldg(from);
  } else {
    return *from;
  }
}
/// What another block of this grid wrote.
template <typename T>
__device__ inline T read_fresh(const T* from) {
  if constexpr (sizeof(T) == sizeof(uint64_t)) {
    const uint64_t bits = __ldcg(reinterpret_cast<const unsigned long long*>(from));
    return *reinterpret_cast<const T*>(&bits);
  } else {
    return __ldcg(from);
  }
}
template <typename T>
__device__ inline void write(T* to, T value) {
  *to = value;
}

/// Counts this block in, and tells how many came before. What they wrote can be read fresh.
__device__ inline int arrive(int* counter) {
  __threadfence();
  const int before = atomicAdd(counter, 1);
  __threadfence();
  return before;
}

/// 16 bytes from global into shared memory, there once they have been waited for.
__device__ inline void copy_async(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
#else
  *static_cast<uint4*>(to) = __ldg(static_cast<const uint4*>(from));
#endif
}
__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until no more than so many of this thread's last groups are on their way.
template <int kGroupsLeft>
__device__ inline void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#endif
}

/// sum[16][8] += a[16][16] * b[16][8] over the lanes of a warp, halves into floats. Fragments as in
/// the PTX ISA, "Matrix Fragments for mma.m16n8k16".
__device__ inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  for (int half = 0; half < 2; half++)
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}

/// Transposes an 8 x 8 matrix of halves: lane 4 * i + j holds elements 2 * j and 2 * j + 1 of row
/// i.
__device__ inline uint32_t transpose(uint32_t pair) {
  uint32_t transposed;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
  return transposed;
}

/// Two floats as halves, the first in the low bits.
__device__ inline uint32_t pack_halves(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
/// a - b of two pairs of halves.
__device__ inline uint32_t subtract_halves(uint32_t a, uint32_t b) {
  uint32_t difference;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(difference) : "r"(a), "r"(b));
  return difference;
}
/// a * b of two pairs of halves.
__device__ inline uint32_t multiply_halves(uint32_t a, uint32_t b) {
  uint32_t product;
  asm("mul.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
  return product;
}
__device__ inline float float_of(uint16_t half) { return __half2float(__ushort_as_half(half)); }
/// The bytes of the two words that the selector's digits name.
__device__ inline uint32_t select_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  return __byte_perm(low, high, selector);
}
/// 2^x, within two units in the last place.
__device__ inline float exp2_of(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

}  // namespace sightline::attention::cuda
