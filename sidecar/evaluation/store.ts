import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { fail, succeed, type Result } from '../result.ts';
import { resultSchema, type EvaluationResult, type Task } from './results.ts';

/** What results depend on; those of anything else are not taken over. */
export interface Origin {
  readonly model: string;
  readonly modelBytes: number;
  readonly corpus: string;
  readonly edges: string;
}

const originSchema: z.ZodType<Origin> = z.object({
  model: z.string(),
  modelBytes: z.number(),
  corpus: z.string(),
  edges: z.string(),
});

/**
 * Results on disk, a line of JSON each behind one for their origin, added as they come: what was measured before an interrupt, a
 * crash or a full disk is there the next time. A last line that is not whole is ignored.
 */
export class Store {
  readonly #file: string;
  readonly #results = new Map<string, EvaluationResult>();

  private constructor(file: string) {
    this.#file = file;
  }

  /** The error is a line for the user. Rejects where the file cannot be written. */
  static async open(file: string, origin: Origin, fresh: boolean): Promise<Result<Store, string>> {
    const store = new Store(file);
    if (fresh) await rm(file, { force: true });
    const text = await readFile(file, 'utf8').catch(() => '');
    const [head = '', ...lines] = text.split('\n');
    if (text === '') {
      await mkdir(dirname(file), { recursive: true });
      await appendFile(file, `${JSON.stringify(origin)}\n`);
      return succeed(store);
    }
    const known = originSchema.safeParse(parse(head));
    if (!known.success || JSON.stringify(known.data) !== JSON.stringify(origin))
      return fail(
        `${file} has results of another model, corpus or window; name another folder with --out, or begin anew with --fresh`,
      );
    for (const line of lines) {
      const result = resultSchema.safeParse(parse(line));
      if (result.success) store.#results.set(keyOf(result.data), result.data);
    }
    // What a crash cut short is not to run into what comes next.
    if (!text.endsWith('\n')) await appendFile(file, '\n');
    return succeed(store);
  }

  get(key: string): EvaluationResult | undefined {
    return this.#results.get(key);
  }

  /** Rejects where there is no room on the disk. */
  async add(result: EvaluationResult): Promise<void> {
    await appendFile(this.#file, `${JSON.stringify(result)}\n`);
    this.#results.set(keyOf(result), result);
  }
}

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
};

/** What one measurement is of; the last ones as far as its task has them. */
export interface Identity {
  readonly task: Task;
  readonly cache: string;
  readonly context: number;
  readonly chunk?: number;
  readonly needles?: number;
  readonly round?: number;
  readonly hole?: number;
}

export const keyOf = ({ task, cache, context, chunk, needles, round, hole }: Identity): string =>
  [task, cache, context, chunk ?? hole ?? needles ?? 0, round ?? 0].join('/');
