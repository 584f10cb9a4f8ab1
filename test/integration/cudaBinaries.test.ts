/** What nvcc makes of the CUDA kernels for every architecture: proofs that need no GPU. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  architectures,
  buildKernels,
  cubinOf,
  findNvcc,
  kernelSources,
  ptxasReportOf,
} from '../../scripts/cuda.mjs';
import { instructionsOf } from '../fixtures/cubin.ts';

/** The most registers a thread may take, so that as many thread blocks as meant share a processor. */
const registerBounds: Readonly<Record<string, number>> = {
  append_rows: 64,
  code_blocks: 128,
  decode_64: 128,
  decode_80: 128,
  decode_96: 168,
  decode_128: 168,
  decode_256: 255,
  prefill_64: 168,
  prefill_80: 255,
  prefill_96: 255,
  prefill_128: 255,
  prefill_256: 255,
  observe_blocks: 128,
  restore_blocks: 128,
};

interface Resources {
  readonly registers: number;
  readonly stack: number;
  readonly spilled: number;
}

/** By kernel, from what ptxas -v prints. */
function resourcesIn(text: string): ReadonlyMap<string, Resources> {
  const pattern =
    /entry function '(\w+)'[^]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[^]*?Used (\d+) registers/g;
  return new Map(
    [...text.matchAll(pattern)].map(([, name = '', stack, stores, loads, registers]) => [
      name,
      {
        registers: Number(registers),
        stack: Number(stack),
        spilled: Number(stores) + Number(loads),
      },
    ]),
  );
}

const skip = findNvcc() === undefined && 'there is no nvcc here: install the CUDA toolkit';

for (const architecture of architectures) {
  void test(
    `the kernels for sm_${architecture} keep everything in registers and use tensor cores`,
    { skip },
    async () => {
      await buildKernels();
      const found = new Set<string>();
      for (const source of kernelSources) {
        const resources = resourcesIn(readFileSync(ptxasReportOf(source, architecture), 'utf8'));
        for (const [name, counts] of instructionsOf(cubinOf(source, architecture))) {
          found.add(name);
          const used = resources.get(name);
          assert.ok(used !== undefined, `ptxas says nothing of ${name}`);
          console.log(
            `sm_${architecture} ${name}: ${used.registers} registers, ${counts.all} instructions, ` +
              `${counts.HMMA} matrix products, ${counts.LDGSTS} asynchronous copies`,
          );
          assert.equal(used.spilled + used.stack + counts.LDL + counts.STL, 0, `${name} spills`);
          assert.ok(used.registers <= (registerBounds[name] ?? 0), `${name}: ${used.registers}`);
          const reads = source === 'attend';
          assert.equal(counts.HMMA > 0, reads, `matrix products of ${name}`);
          assert.equal(
            counts.LDGSTS > 0,
            reads && architecture >= 80,
            `asynchronous copies of ${name}`,
          );
        }
      }
      assert.deepEqual([...found].sort(), Object.keys(registerBounds).sort());
    },
  );
}
