import { basename } from 'node:path';
import type { Failure } from '../engine/failure.ts';
import { readHeader, readLocalHeader, type ModelHeader } from '../models/header.ts';
import {
  bytesOf,
  lookUp,
  quantisationOf,
  remoteReader,
  type Hub,
  type HubModel,
} from '../models/hub.ts';
import { modelBytes, partsMissing, partsOf } from '../models/local.ts';
import { noModel } from '../models/models.ts';
import { fail, succeed, type Result } from '../result.ts';

/** A model that is looked at, in one file or in several. */
export interface Candidate {
  /** Name of its first file. */
  readonly file: string;
  /** Empty where the name does not tell. */
  readonly quantisation: string;
  readonly files: number;
  readonly weightBytes: number;
}

/** What `--model` names: quantisations of one model, the smallest first. */
export interface Source {
  readonly header: ModelHeader;
  readonly candidates: readonly Candidate[];
}

/** Of a repository on a hub: all its models, or those that `choice` names by quantisation or file. */
interface Address {
  readonly repository: string;
  readonly choice?: string;
}

/** `hf:owner/name`, with `:Q4_K_M` or `:file.gguf` behind it; undefined: a path. */
export function parseAddress(model: string): Address | undefined {
  const [, repository, choice] = /^hf:([^:]*)(?::(.*))?$/.exec(model) ?? [];
  if (repository === undefined) return undefined;
  return { repository, ...(choice === undefined ? {} : { choice }) };
}

/** `path`: any part of a model stands for all of it. */
export async function localSource(
  path: string,
  signal: AbortSignal,
): Promise<Result<Source, Failure>> {
  const parts = partsOf(path);
  const first = parts[0] ?? path;
  const header = await readLocalHeader(first, signal);
  if (!header.ok) return header;
  const weightBytes = await modelBytes(first);
  if (weightBytes === undefined) {
    return fail({ code: 'MODEL_INVALID', message: partsMissing(first) });
  }
  const file = basename(first);
  const candidate = { file, quantisation: quantisationOf(file), files: parts.length, weightBytes };
  return succeed({ header: header.value, candidates: [candidate] });
}

/** Reads no more than the header of the smallest: it says the same in all. */
export async function hubSource(
  hub: Hub,
  { repository, choice }: Address,
  signal: AbortSignal,
): Promise<Result<Source, Failure>> {
  const found = await lookUp(hub, repository, signal);
  if (!found.ok) return found;
  const { models } = found.value;
  const chosen = choice === undefined ? models : models.filter((model) => isCalled(model, choice));
  const [file] = chosen[0]?.files ?? [];
  if (file === undefined) {
    return fail(
      models.length === 0 ? noModel(repository) : noSuchModel(repository, choice, models),
    );
  }
  const header = await readHeader(file.name, remoteReader(hub, found.value, file), signal);
  if (!header.ok) return header;
  return succeed({
    header: header.value,
    candidates: chosen.map((model) => ({
      file: model.file,
      quantisation: model.quantisation,
      files: model.files.length,
      weightBytes: bytesOf(model),
    })),
  });
}

const isCalled = ({ quantisation, files }: HubModel, choice: string): boolean =>
  quantisation.toUpperCase() === choice.toUpperCase() ||
  files.some(({ name }) => name === choice || basename(name) === choice);

function noSuchModel(
  repository: string,
  choice: string | undefined,
  models: readonly HubModel[],
): Failure {
  const names = models.map(({ quantisation, file }) => (quantisation === '' ? file : quantisation));
  return {
    code: 'MODEL_NOT_FOUND',
    message: `${repository} has no ${JSON.stringify(choice ?? '')}. It has: ${[...new Set(names)].join(', ')}.`,
  };
}
