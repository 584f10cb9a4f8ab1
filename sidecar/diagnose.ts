import { existsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { describeFailure, type Failure } from './engine/failure.ts';
import { seeGpu } from './engine/gpu.ts';
import type { LoadedAddon } from './engine/load.ts';
import { gpuSearch } from './gpu/search.ts';
import type { CacheStats, SidecarStatus, SightlineSettings } from './protocol.ts';
import type { Result } from './result.ts';

export interface Diagnosed {
  readonly version: string;
  readonly loadAddon: () => Result<LoadedAddon, Failure>;
  readonly settings: SightlineSettings;
  readonly status: SidecarStatus;
  readonly stats: CacheStats | null;
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** What there is and what is used, as Markdown. Nothing of any document is in it. */
export async function diagnose(diagnosed: Diagnosed): Promise<string> {
  const { version, settings, status, stats } = diagnosed;
  const processors = cpus();
  return [
    `# Sightline ${version}`,
    list([
      ['State', `${status.state}: ${status.message}`],
      ['System', `${process.platform} ${release()} on ${process.arch}, Node ${process.version}`],
      ['Processor', `${processors[0]?.model ?? 'unknown'}, ${processors.length} threads`],
      ['Memory', gibibytes(totalmem())],
      ...(await engineRows(diagnosed)),
    ]),
    '## GPU runtime',
    runtime(settings),
    '## KV cache',
    stats === null ? 'No model is loaded.' : json(stats),
    '## Settings',
    json(settings),
  ].join('\n\n');
}

type Row = readonly [name: string, value: string];

const list = (rows: readonly Row[]): string =>
  rows.map(([name, value]) => `- **${name}:** ${value}`).join('\n');

const json = (value: unknown): string => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;

async function engineRows({ loadAddon }: Diagnosed): Promise<Row[]> {
  const loaded = loadAddon();
  if (!loaded.ok) return [['Engine', describeFailure(loaded.error)]];
  const { release: llamaCpp, path } = loaded.value;
  const engine: Row = ['Engine', `llama.cpp ${llamaCpp}, ${path}`];
  const seen = await seeGpu(loadAddon);
  if (!seen.ok) return [engine, ['GPU', describeFailure(seen.error)]];
  const { name, capability, freeBytes, totalBytes, cuda, compilesKernels } = seen.value;
  const compiled = compilesKernels ? ', kernels compiled by the driver' : '';
  const memory = `${gibibytes(freeBytes)} of ${gibibytes(totalBytes)} free`;
  const text = `${name}, compute capability ${capability}, ${memory}, driver for CUDA ${cuda}`;
  return [engine, ['GPU', text + compiled]];
}

/** Where the parts of the GPU runtime were looked for. */
function runtime({ gpu }: SightlineSettings): string {
  const search = gpuSearch(gpu);
  if (search === undefined) {
    return gpu.use === 'off' ? 'Switched off: `sightline.gpu.use`.' : 'None on this platform.';
  }
  const backends = search.backends.map(({ path, cudaVersion }): Row => [
    `CUDA ${cudaVersion}`,
    `${existsSync(path) ? 'installed' : 'not installed'}: \`${path}\``,
  ]);
  const folders = search.toolkitFolders.map((folder) => `\`${folder}\``).join(', ');
  return list([...backends, ["CUDA's libraries are looked for in", folders]]);
}
