import type { z } from 'zod';
import { describeFailure, type Failure } from '../engine/failure.ts';

/** Why a request is not answered, as OpenAI's interface says it. */
export interface ApiError {
  readonly status: number;
  /** What happened and what to do. */
  readonly message: string;
  /** Which part of the body is meant. */
  readonly param?: string;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The body that goes with the status. */
export const bodyOf = ({ status, message, param = '', code = '' }: ApiError): object => ({
  error: {
    message,
    type: status < 500 ? 'invalid_request_error' : 'server_error',
    param: param === '' ? null : param,
    code: code === '' ? null : code,
  },
});

/** The first thing that is wrong with a body. */
export function wrongBody({ issues: [issue] }: z.ZodError): ApiError {
  const param = issue?.path.join('.') ?? '';
  const message = `${param === '' ? 'The body' : param} must be ${issue?.message ?? 'valid'}.`;
  return { status: 400, message, ...(param === '' ? {} : { param }) };
}

export const stopping: ApiError = {
  status: 503,
  message: 'The server is being stopped.',
  code: 'stopping',
};

const ofFailures: Readonly<Partial<Record<Failure['code'], Pick<ApiError, 'status' | 'code'>>>> = {
  CONTEXT_FULL: { status: 400, code: 'context_length_exceeded' },
  MODEL_UNSUPPORTED: { status: 400 },
  BAD_ARGUMENT: { status: 400 },
  CACHE_EXHAUSTED: { status: 503, code: 'out_of_memory' },
  OUT_OF_MEMORY: { status: 503, code: 'out_of_memory' },
};

/** What the engine failed with. */
export const apiErrorOf = (failure: Failure): ApiError => ({
  ...(ofFailures[failure.code] ?? { status: 500 }),
  message: describeFailure(failure),
});
