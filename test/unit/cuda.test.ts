/** What scripts/cuda.mjs and C++ both say of the CUDA kernels. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { architectures, kernelSources } from '../../scripts/cuda.mjs';

const read = (path: string): string =>
  readFileSync(new URL(`../../native/${path}`, import.meta.url), 'utf8');

const namesIn = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, name]) => name ?? '').sort();

describe('the CUDA kernels', () => {
  it('are compiled for the architectures that the runtime has code for', () => {
    const least = /kLeastCapability = (\d+);/.exec(read('runtime/gpu.h'))?.[1];
    const more = /kCapabilities\[\] = \{kLeastCapability, ([\d, ]+)\}/.exec(
      read('runtime/gpu.cpp'),
    );
    assert.deepEqual([least, ...(more?.[1]?.split(', ') ?? [])].map(Number), architectures);
  });

  it('are all in the addon and in the emulator', () => {
    const sources = [...kernelSources].sort();
    const image = read('attention/cuda/image.cpp');
    assert.deepEqual(namesIn(image, /^SIGHTLINE_IMAGE\((\w+)\)$/gm), sources);
    const emulator = read('attention/cuda/emulator/CMakeLists.txt');
    assert.deepEqual(namesIn(emulator, /kernels\/(\w+)\.cu/g), sources);
  });
});
