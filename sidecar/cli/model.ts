import { basename } from 'node:path';
import { cacheFolder } from '../cacheFolder.ts';
import { Engine, type EngineOptions, type LoadedModel } from '../engine/engine.ts';
import { describeFailure, failureOf, type Failure } from '../engine/failure.ts';
import { loadAddon } from '../engine/load.ts';
import { SelfChecks } from '../engine/selfChecks.ts';
import { exitCodes } from '../exit.ts';
import { fail, type Result } from '../result.ts';
import { say } from './output.ts';

/**
 * Loads a model, does the work with it and frees it. An interrupt (Ctrl-C) aborts the signal, and with it the work within one
 * decode step; a second one ends the process. Resolves to the exit code.
 */
export async function withModel(
  options: EngineOptions,
  work: (model: LoadedModel, signal: AbortSignal) => Promise<Result<void, Failure>>,
): Promise<number> {
  const abort = new AbortController();
  const interrupt = (): void => {
    abort.abort();
  };
  process.once('SIGINT', interrupt);
  const engine = new Engine(
    () => loadAddon(),
    options,
    loadProgress,
    new SelfChecks(cacheFolder()),
  );
  try {
    say(`loading ${options.modelPath}`);
    const model = await engine.model(abort.signal);
    const outcome = model.ok
      ? await work(model.value, abort.signal).catch((error: unknown) => {
          const failure = failureOf(error);
          if (abort.signal.aborted || failure.code !== 'ENGINE_FAILED') return fail(failure);
          throw error;
        })
      : model;
    if (outcome.ok) return exitCodes.done;
    if (abort.signal.aborted) {
      say('interrupted');
      return exitCodes.interrupted;
    }
    say(describeFailure(outcome.error));
    return exitCodes.engineFailed;
  } finally {
    process.off('SIGINT', interrupt);
    await engine.close();
  }
}

/** Follows the load on stderr; a terminal sees the percentage run. */
const loadProgress = {
  progress(fraction: number, { modelPath }: { readonly modelPath: string }): void {
    if (!process.stderr.isTTY) return;
    const percentage = `${Math.floor(fraction * 100)} %`.padStart(5);
    process.stderr.write(`\rsightline: loading ${basename(modelPath)} ${percentage}`);
  },
  loaded({ native }: LoadedModel): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
    say(`${native.info.name} loaded in ${native.info.loadSeconds.toFixed(2)} s`);
    if (native.info.gpuReason !== undefined) say(`on the CPU: ${native.info.gpuReason}`);
  },
  failed(): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
  },
};
