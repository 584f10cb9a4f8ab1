/**
 * How long a GPU would take to decode a token's attention in one layer: a model of it, from the
 * bytes that the kernel reads, the makers' figures and the kernel's own sizes. Not a measurement.
 */

export interface Gpu {
  readonly name: string;
  readonly processors: number;
  /** Memory bandwidth by the maker's data sheet. */
  readonly bytesPerSecond: number;
  /** Shared memory of a multiprocessor (CUDA C++ Programming Guide, compute capabilities). */
  readonly sharedBytes: number;
}

const kib = 1024;

export const gpus: readonly Gpu[] = [
  { name: 'RTX 3060', processors: 28, bytesPerSecond: 360e9, sharedBytes: 100 * kib },
  { name: 'RTX 4090', processors: 128, bytesPerSecond: 1008e9, sharedBytes: 100 * kib },
  { name: 'RTX 5090', processors: 170, bytesPerSecond: 1792e9, sharedBytes: 100 * kib },
  { name: 'A100', processors: 108, bytesPerSecond: 2039e9, sharedBytes: 164 * kib },
  { name: 'H100', processors: 132, bytesPerSecond: 3350e9, sharedBytes: 228 * kib },
];

/** What decoding one layer asks for. */
export interface DecodeWork {
  readonly kvHeads: number;
  /** Of the cache, for one KV head. */
  readonly blocks: number;
  /** Shared memory of one block of threads. */
  readonly sharedBytes: number;
}

/** Warps of a block of threads; each takes blocks of the cache by itself. */
const warps = 4;
/** Blocks of threads that the registers leave room for: decode's launch bounds at head size 128. */
const registerBlocks = 3;
/** What the system keeps of shared memory for every block of threads. */
const reservedSharedBytes = kib;

/** Share of the published bandwidth that streaming reads come to. Assumed. */
const reachableBandwidth = 0.92;
/** Launch, the queries' way in, the last block's merge. Assumed. */
const fixedSeconds = 3e-6;

/** Splits of the cache: as many as all blocks of threads that fit at a time can take. */
export function splitsFor(gpu: Gpu, { kvHeads, blocks, sharedBytes }: DecodeWork): number {
  const fitting = Math.floor(gpu.sharedBytes / (sharedBytes + reservedSharedBytes));
  const slots = gpu.processors * Math.min(registerBlocks, fitting);
  return Math.max(1, Math.min(Math.floor(slots / kvHeads), Math.ceil(blocks / warps)));
}

/**
 * Seconds of one layer, of which one KV head reads so many bytes. Warps that take one block of the
 * cache more than others keep them waiting: the last wave is as long as the first.
 */
export function decodeSeconds(gpu: Gpu, work: DecodeWork, bytesOfKvHead: number): number {
  const splits = splitsFor(gpu, work);
  const longest = Math.ceil(Math.ceil(work.blocks / splits) / warps);
  const evenness = work.blocks / (splits * warps * longest);
  const bytes = bytesOfKvHead * work.kvHeads;
  return bytes / (gpu.bytesPerSecond * reachableBandwidth * evenness) + fixedSeconds;
}
