import type { Job } from './addon.ts';

/**
 * The result of a job that `signal` aborts. A signal that fires too late changes nothing.
 * Rejects as the job does: with ABORTED once the signal has fired.
 */
export async function runJob<T>(job: Job<T>, signal: AbortSignal): Promise<T> {
  const abort = (): void => {
    job.abort();
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await job.result;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
