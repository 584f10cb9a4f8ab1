/** What nvcc makes of the CUDA kernels for every architecture: proofs that need no GPU. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
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
import { sectionsOf } from '../unit/support/markdown.ts';

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

const resourcesOf = (source: string, architecture: number): ReadonlyMap<string, Resources> =>
  resourcesIn(readFileSync(ptxasReportOf(source, architecture), 'utf8'));

const documented = sectionsOf(
  readFileSync(new URL('../../docs/cuda.md', import.meta.url), 'utf8'),
).find(({ title }) => title === 'Registers');

/** As the document has it, of one release of ptxas. */
function documentedRegisters(kernel: string, architecture: number): string | undefined {
  const [table] = documented?.tables ?? [];
  const column = table?.header.findIndex((cell) => cell.split(', ').includes(`sm_${architecture}`));
  return table?.rows.find(([name]) => name === `\`${kernel}\``)?.[column ?? -1];
}

const nvcc = findNvcc();
const skip = nvcc === undefined && 'there is no nvcc here: install the CUDA toolkit';

test('the registers that docs/cuda.md lists are those of ptxas', { skip }, async (t) => {
  const [release] = /(?<=ptxas )[\d.]+/.exec(documented?.paragraphs[0] ?? '') ?? [];
  assert.ok(release !== undefined && nvcc !== undefined);
  const here = execFileSync(nvcc, ['--version'], { encoding: 'utf8' });
  if (!here.includes(`release ${release},`)) {
    t.skip(`nvcc here is another release than the ${release} of the document`);
    return;
  }
  await buildKernels();
  for (const architecture of architectures)
    for (const source of kernelSources)
      for (const [name, { registers }] of resourcesOf(source, architecture))
        assert.equal(
          documentedRegisters(name, architecture),
          String(registers),
          `${name}, sm_${architecture}`,
        );
});

for (const architecture of architectures) {
  void test(
    `the kernels for sm_${architecture} keep everything in registers and use tensor cores`,
    { skip },
    async () => {
      await buildKernels();
      const found = new Set<string>();
      for (const source of kernelSources) {
        const resources = resourcesOf(source, architecture);
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
