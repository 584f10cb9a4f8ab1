import type { ModelFit, SightlineSettings } from '../protocol.ts';
import { stepTokens, type ModelHeader } from './header.ts';
import type { Memory } from './machine.ts';
import { cacheBytes } from './memory.ts';

/** What of a model's header its memory depends on. */
export type Sized = Pick<ModelHeader, 'layers' | 'slides' | 'trainedTokens' | 'stepBytes'>;

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

const clamp = (value: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, value));

export type Device = 'cpu' | 'gpu';

/** What is not a model's: of the system's memory what the system and the editor take, of a GPU's what the engine leaves. */
const reserves = {
  cpu: { share: 1 / 8, least: 2 ** 28, most: 2 ** 32 },
  gpu: { share: 1 / 32, least: 2 ** 23, most: 2 ** 28 },
} as const;

/** What so much memory leaves to a model. */
export function roomIn(bytes: number, device: Device): number {
  const { share, least, most } = reserves[device];
  return Math.max(0, bytes - clamp(bytes * share, least, most));
}

/** The least memory that has so much room. */
export function memoryWithRoom(room: number, device: Device): number {
  const { share, least, most } = reserves[device];
  return room + clamp((room * share) / (1 - share), least, most);
}

/** What a model takes while it runs. */
export interface Taken {
  readonly weightBytes: number;
  readonly cacheBytes: number;
  /** A step of prefill, which is appended in FP16 before anything is coded. */
  readonly stepBytes: number;
}

/** `weightBytes`: of all its files. */
export function takenBy(
  model: Sized,
  weightBytes: number,
  contextTokens: number,
  cache: SightlineSettings['cache'],
): Taken {
  return {
    weightBytes,
    cacheBytes: cacheBytes(model, contextTokens, cache),
    stepBytes: model.stepBytes + cacheBytes(model, stepTokens, { ...cache, policy: 'full' }),
  };
}

/** Where a model of this size would run, and whether it can. `weightBytes`: of all its files. */
export function fitOf(
  model: Sized,
  weightBytes: number,
  memory: Memory,
  { model: { contextTokens: asked }, cache, gpu }: SightlineSettings,
): ModelFit {
  const { trainedTokens } = model;
  const wanted = asked > 0 ? asked : trainedTokens;
  const contextTokens = trainedTokens > 0 ? Math.min(wanted, trainedTokens) : wanted;
  const { cacheBytes: least, stepBytes: step } = takenBy(model, weightBytes, contextTokens, cache);
  const budget = cache.budgetMiB * 2 ** 20;
  const all = { weightBytes, cacheBytes: least, contextTokens };
  const text = `${gibibytes(weightBytes)} of weights and ${gibibytes(least)} of cache for ${contextTokens} tokens`;
  const room = roomIn(memory.bytes, 'cpu');
  const needed = weightBytes + least + step;

  if (budget > 0 && least > budget) {
    const message = `${text}: more than the ${cache.budgetMiB} MiB that the cache may take. Raise sightline.cache.budgetMiB or lower sightline.model.contextTokens.`;
    return { ...all, where: 'nowhere', message };
  }
  if (memory.gpu !== undefined) {
    const { name, bytes, ready } = memory.gpu;
    const share = gpuShare(model.layers.length, all, step, roomIn(bytes, 'gpu'), gpu.layers);
    const rest = (1 - share) * (weightBytes + least);
    const install = ready ? '' : ', once "Sightline: Install GPU Runtime" was run';
    if (share === 1) {
      return { ...all, where: 'gpu', message: `${text}, on ${name}${install}` };
    }
    if (share > 0 && rest <= room) {
      const part = `${Math.round(share * 100)} %`;
      return { ...all, where: 'split', message: `${text}, ${part} of it on ${name}${install}` };
    }
  }
  if (needed <= room && gpu.use !== 'required') {
    return { ...all, where: 'cpu', message: `${text}, on the CPU` };
  }
  const has =
    memory.gpu === undefined
      ? `this machine has ${gibibytes(memory.bytes)}`
      : `this machine has ${gibibytes(memory.bytes)}, and ${memory.gpu.name} ${gibibytes(memory.gpu.bytes)}`;
  const advice =
    weightBytes > room
      ? 'Choose a smaller model or quantisation.'
      : 'Lower sightline.model.contextTokens, or hold the cache in fewer bits (sightline.cache.policy, sightline.cache.tier).';
  return { ...all, where: 'nowhere', message: `${text}: ${has}. ${advice}` };
}

/** The share of the layers that a GPU has room for, as the engine places them: the last ones, with their cache and the output. */
function gpuShare(
  layers: number,
  { weightBytes, cacheBytes: cached }: { weightBytes: number; cacheBytes: number },
  step: number,
  room: number,
  most: number,
): number {
  // The embedding and the output weigh about as much as a layer each.
  const layer = weightBytes / (layers + 2) + cached / layers;
  const output = (2 * weightBytes) / (layers + 2);
  const fitting = Math.floor((room - step - output) / layer);
  const wanted = most > 0 ? Math.min(most, layers) : layers;
  return Math.max(0, Math.min(fitting, wanted)) / layers;
}
