import { z } from 'zod';
import { resultSchema, type EvaluationResult } from '../results.ts';
import { rowsOf, type Row } from '../summary.ts';
import { verdictsOf, type Verdict } from '../verdicts.ts';

const about = z.object({
  format: z.literal(1),
  command: z.string(),
  when: z.string(),
  /** Whether all that was asked for was measured. */
  complete: z.boolean(),
  model: z.object({
    name: z.string(),
    file: z.string(),
    architecture: z.string(),
    parameters: z.number(),
    trainedTokens: z.number(),
  }),
  machine: z.object({
    cpu: z.string(),
    gpu: z.string().nullable(),
    threads: z.number(),
    kernels: z.string(),
  }),
  corpus: z.object({
    sha256: z.string(),
    files: z.number(),
    tokens: z.number(),
    sources: z.array(z.string()),
  }),
  /** Bytes of a cache behind so many tokens, by policy. */
  memory: z.object({
    tokens: z.array(z.number()),
    policies: z.array(z.object({ policy: z.string(), bytes: z.array(z.number()) })),
  }),
  /** Caches that this model or machine cannot have, with the reason. */
  refused: z.array(z.object({ cache: z.string(), reason: z.string() })),
});

export type About = z.infer<typeof about>;

export interface Report extends About {
  readonly rows: readonly Row[];
  readonly verdicts: readonly Verdict[];
  readonly results: readonly EvaluationResult[];
}

export function reportOf(facts: About, results: readonly EvaluationResult[]): Report {
  const rows = rowsOf(results);
  return { ...facts, rows, verdicts: verdictsOf(rows), results };
}

/** The report that a file says; what can be computed is computed anew. Throws where it is none. */
export function parseReport(text: string): Report {
  const { results, ...facts } = about
    .extend({ results: z.array(resultSchema) })
    .parse(JSON.parse(text));
  return reportOf(facts, results);
}
