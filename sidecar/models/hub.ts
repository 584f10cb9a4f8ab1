import { parseGGUFQuantLabel } from '@huggingface/gguf';
import { z } from 'zod';
import type { Failure } from '../engine/failure.ts';
import { askForBytes, isSafe, patience, type Patience } from '../download/http.ts';
import { fail, succeed, type Result } from '../result.ts';
import { ReadFailure, type RangeReader } from './header.ts';

/** A Hugging Face hub, or a mirror of it. */
export interface Hub {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string;
  readonly patience: Patience;
}

const hubEndpoint = 'https://huggingface.co';

/** The hub of this environment: `HF_ENDPOINT`, and `HF_TOKEN` where the user gave no other. `HF_HUB_OFFLINE`: none. */
export function hubOf(
  token: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  patient: Patience = patience,
): Result<Hub, Failure> {
  const { HF_ENDPOINT: endpoint = '', HF_TOKEN: shared = '', HF_HUB_OFFLINE: offline = '' } = env;
  if (['1', 'true', 'yes', 'on'].includes(offline.toLowerCase())) {
    const message =
      'HF_HUB_OFFLINE is set: nothing is downloaded. Choose a model that is on this machine.';
    return fail({ code: 'OFFLINE', message });
  }
  const address = (endpoint === '' ? hubEndpoint : endpoint).replace(/\/+$/, '');
  if (!URL.canParse(address) || !isSafe(new URL(address))) {
    const message = `HF_ENDPOINT is ${address}, which is no https address. Correct it, or unset it.`;
    return fail({ code: 'DOWNLOAD_FAILED', message });
  }
  const secret = token ?? shared;
  return succeed({
    endpoint: address,
    patience: patient,
    ...(secret === '' ? {} : { token: secret }),
  });
}

/** A file of a repository, in one commit. */
export interface HubFile {
  /** Its path in the repository: relative, and inside it. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** One model of a repository: a quantisation, in a file or in several. */
export interface HubModel {
  /** Name of the first file. */
  readonly file: string;
  /** Such as Q4_K_M; empty where the name does not tell. */
  readonly quantisation: string;
  readonly files: readonly HubFile[];
}

/** A repository at one commit. */
export interface Repository {
  readonly name: string;
  readonly commit: string;
  readonly licence?: string;
  /** Access is to be asked for. */
  readonly gated: boolean;
  readonly models: readonly HubModel[];
}

const repositoryName = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

const published = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated: z.union([z.boolean(), z.string()]).optional(),
  cardData: z
    .object({ license: z.unknown().optional(), license_name: z.unknown().optional() })
    .nullish(),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.int().min(0).nullish(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).nullish(),
    }),
  ),
});

const mostAnswerBytes = 16 * 2 ** 20;

/** What a repository has now; its files are those of one commit from here on. */
export async function lookUp(
  hub: Hub,
  repository: string,
  signal: AbortSignal,
): Promise<Result<Repository, Failure>> {
  if (!repositoryName.test(repository) || repository.includes('..')) {
    const message = `"${repository}" is no repository: it must be like "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF".`;
    return fail({ code: 'BAD_ARGUMENT', message });
  }
  const answer = await askForBytes(
    {
      ...requestTo(hub),
      url: `${hub.endpoint}/api/models/${repository}/revision/main?blobs=true`,
      signal,
    },
    mostAnswerBytes,
    hub.patience,
  );
  if (!answer.ok) return answer;
  const parsed = published.safeParse(jsonOf(answer.value));
  if (!parsed.success) {
    const message = `${hub.endpoint} did not answer as a Hugging Face hub does. Check HF_ENDPOINT.`;
    return fail({ code: 'DOWNLOAD_FAILED', message });
  }
  const { sha, gated = false, cardData, siblings } = parsed.data;
  const files = siblings.flatMap(({ rfilename, lfs }): HubFile[] =>
    isModelFile(rfilename) && isPresent(lfs)
      ? [{ name: rfilename, bytes: lfs.size, sha256: lfs.sha256 }]
      : [],
  );
  const licence = cardData?.license === 'other' ? cardData.license_name : cardData?.license;
  return succeed({
    name: repository,
    commit: sha,
    gated: gated !== false,
    models: modelsOf(files),
    ...(typeof licence === 'string' ? { licence } : {}),
  });
}

const isPresent = <T>(value: T | null | undefined): value is T =>
  value !== null && value !== undefined;

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

const requestTo = ({ token }: Hub): { token?: string } => (token === undefined ? {} : { token });

/** A GGUF model by its name: not what belongs to one, such as an importance matrix or the projector of an image model. */
const isModelFile = (name: string): boolean =>
  name.endsWith('.gguf') && isInside(name) && !/(?:^|[/._-])(?:mmproj|imatrix)/i.test(name);

/** A path that stays in the folder it is put into, on every system. */
const isInside = (name: string): boolean =>
  !/[\\:\0]/.test(name) &&
  name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

const splitName = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/;

/** Parts of a split model belong together; one that lacks some of them is none. The smallest first. */
function modelsOf(files: readonly HubFile[]): HubModel[] {
  const models = new Map<string, HubFile[]>();
  for (const file of files) {
    const [, prefix, , total] = splitName.exec(file.name) ?? [];
    const name = prefix === undefined ? file.name : `${prefix} of ${total ?? ''}`;
    models.set(name, [...(models.get(name) ?? []), file]);
  }
  const found = [...models.values()].flatMap((parts): HubModel[] => {
    const ordered = parts.sort((a, b) => (a.name < b.name ? -1 : 1));
    const [first] = ordered;
    if (first === undefined) return [];
    const total = Number(splitName.exec(first.name)?.[3] ?? 1);
    const whole =
      ordered.length === total &&
      ordered.every(({ name }, i) => total === 1 || Number(splitName.exec(name)?.[2]) === i + 1);
    return whole
      ? [{ file: first.name, quantisation: quantisationOf(first.name), files: ordered }]
      : [];
  });
  return found.sort((a, b) => bytesOf(a) - bytesOf(b));
}

/** By a file's name; empty where that does not tell. */
export const quantisationOf = (name: string): string =>
  parseGGUFQuantLabel(name.toUpperCase()) ?? '';

export const bytesOf = ({ files }: Pick<HubModel, 'files'>): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);

/** Where a file of a commit is. */
export const addressOf = ({ endpoint }: Hub, { name, commit }: Repository, file: string): string =>
  `${endpoint}/${name}/resolve/${commit}/${file.split('/').map(encodeURIComponent).join('/')}`;

/** Reads parts of a file without downloading it. Throws `ReadFailure`. */
export function remoteReader(hub: Hub, repository: Repository, file: HubFile): RangeReader {
  return {
    bytes: file.bytes,
    read: async (from, to, signal) => {
      const request = {
        ...requestTo(hub),
        url: addressOf(hub, repository, file.name),
        headers: { range: `bytes=${from}-${to}` },
        signal,
      };
      const read = await askForBytes(request, to - from + 1, hub.patience);
      if (!read.ok) throw new ReadFailure(read.error);
      return read.value;
    },
  };
}
