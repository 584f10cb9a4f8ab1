import { existsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { describeFailure, failureOf, type Failure } from './engine/failure.ts';
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
  const { addon, path } = loaded.value;
  const engine: Row = ['Engine', `llama.cpp ${addon.release.loaded}, ${path}`];
  try {
    const gpu = await addon.gpu();
    const compiled = gpu.compilesKernels ? ', kernels compiled by the driver' : '';
    return [
      engine,
      [
        'GPU',
        `${gpu.name}, compute capability ${gpu.capability}, ${gibibytes(gpu.freeBytes)} of ${gibibytes(gpu.totalBytes)} free, driver for CUDA ${gpu.cuda}${compiled}`,
      ],
    ];
  } catch (error) {
    return [engine, ['GPU', describeFailure(failureOf(error))]];
  }
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
