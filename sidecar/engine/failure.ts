import type { AddonErrorCode } from './addon.ts';

/** Codes of what the addon has no part in. */
export type SidecarErrorCode =
  | 'PLATFORM_UNSUPPORTED'
  | 'ADDON_MISSING'
  | 'ADDON_UNLOADABLE'
  | 'DOCUMENT_BINARY'
  | 'DOCUMENT_IGNORED'
  | 'DOCUMENT_UNKNOWN'
  | 'DOWNLOAD_FAILED'
  | 'ACCESS_DENIED'
  | 'OFFLINE'
  | 'SERVER_FAILED';

/** A failure of the engine as data. Every code is described in docs/errors.md. */
export interface Failure {
  readonly code: AddonErrorCode | SidecarErrorCode;
  /** What happened and what to do. */
  readonly message: string;
}

/** Keyed by code so that the compiler keeps the list complete. */
const addonErrorCodes: Readonly<Record<AddonErrorCode, true>> = {
  MODEL_NOT_FOUND: true,
  MODEL_INVALID: true,
  MODEL_UNSUPPORTED: true,
  RELEASE_MISMATCH: true,
  BACKEND_MISSING: true,
  GPU_UNAVAILABLE: true,
  GPU_FAILED: true,
  CONTEXT_FULL: true,
  CACHE_EXHAUSTED: true,
  OUT_OF_MEMORY: true,
  BAD_ARGUMENT: true,
  ABORTED: true,
  CLOSED: true,
  SESSION_INVALID: true,
  WRITE_FAILED: true,
  ENGINE_FAILED: true,
};

const isAddonErrorCode = (code: unknown): code is AddonErrorCode =>
  typeof code === 'string' && Object.hasOwn(addonErrorCodes, code);

/** What a call into the addon rejected with, as a `Failure`. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: 'ENGINE_FAILED', message: String(error) };
  const code: unknown = 'code' in error ? error.code : undefined;
  return { code: isAddonErrorCode(code) ? code : 'ENGINE_FAILED', message: error.message };
}

/** What a call that was given up ends with where it never reached the addon. */
export const cancelled: Failure = { code: 'ABORTED', message: 'The request was cancelled.' };

/** True where the call was given up on purpose: nothing to tell anyone. */
export const isCancellation = (failure: Failure): boolean =>
  failure.code === 'ABORTED' || failure.code === 'CLOSED';

/** The line users see; the code leads to docs/errors.md. */
export const describeFailure = (failure: Failure): string => `${failure.message} [${failure.code}]`;
