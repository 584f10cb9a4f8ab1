import type { LoadedModel } from '../engine/engine.ts';
import { greedy } from '../engine/sampling.ts';
import { sequences } from '../engine/sequences.ts';

const code = 'for (const item of items) total += item.price * item.count;\n'.repeat(8);

/** Lets the engine find out how many tokens it pays to draft, before anyone waits for one. */
export async function warmUp({ native, tokenizer }: LoadedModel): Promise<void> {
  const tokens = await tokenizer.tokenize(code);
  const room = Math.floor(native.info.contextTokens / 2);
  await native.complete(
    {
      ...{ tokens: tokens.subarray(0, room), maxTokens: 0 },
      ...{ sampling: greedy, stopTokens: new Int32Array() },
    },
    () => undefined,
  ).result;
  await native.dropSequence(sequences.completion);
}
