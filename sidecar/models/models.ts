import { basename } from 'node:path';
import { downloadOptions, type DownloadOptions } from '../download/file.ts';
import type { Failure } from '../engine/failure.ts';
import type {
  CatalogueModel,
  LocalModel,
  ModelDetails,
  ModelList,
  PublishedFile,
  PublishedModel,
  SightlineSettings,
} from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { catalogue, quantisationBits, type CatalogueEntry } from './catalogue.ts';
import { downloadModel, missingBytes, type OnBytes } from './download.ts';
import { fitOf } from './fit.ts';
import { readHeader, type ModelHeader } from './header.ts';
import {
  bytesOf,
  hubOf,
  lookUp,
  remoteReader,
  type Hub,
  type HubModel,
  type Repository,
} from './hub.ts';
import { hubCacheFolder, snapshotOf } from './hubCache.ts';
import { LocalHeaders, localFiles, modelBytes, partsMissing, type LocalFile } from './local.ts';
import type { Memory } from './machine.ts';

export interface ModelsOptions {
  readonly bundledModel: string;
  readonly settings: () => SightlineSettings;
  readonly memory: () => Promise<Memory>;
  /** Says where the hub and its cache are; tests have another. */
  readonly env?: NodeJS.ProcessEnv;
  readonly download?: DownloadOptions;
}

/** The prefill step of a model whose vocabulary is not known yet; about that of Qwen2.5-Coder 7B. */
const usualStepBytes = 400 * 2 ** 20;

/** The models of this machine, those of the catalogue and those of a hub. Only what is asked of a hub uses the network. */
export class Models {
  readonly #options: ModelsOptions;
  readonly #headers = new LocalHeaders();
  /** Headers of published files, by commit and name: they do not change. */
  readonly #published = new Map<string, ModelHeader>();

  constructor(options: ModelsOptions) {
    this.#options = options;
  }

  get #cache(): string {
    return hubCacheFolder(this.#options.env);
  }

  #hub(token: string | undefined): Result<Hub, Failure> {
    return hubOf(token, this.#options.env, this.#options.download ?? downloadOptions);
  }

  async list(paths: readonly string[], signal: AbortSignal): Promise<ModelList> {
    const memory = await this.#options.memory();
    const settings = this.#options.settings();
    const files = await localFiles(this.#options.bundledModel, this.#cache, paths);
    const local: LocalModel[] = [];
    for (const file of files) {
      if (signal.aborted) break;
      local.push(await this.#local(file, memory, settings, signal));
    }
    return {
      local,
      catalogue: catalogue.map((entry) => catalogueModel(entry, memory, settings)),
      folder: this.#cache,
    };
  }

  async #local(
    { path, source, repository }: LocalFile,
    memory: Memory,
    settings: SightlineSettings,
    signal: AbortSignal,
  ): Promise<LocalModel> {
    const bytes = await modelBytes(path);
    const known = { path, source, ...(repository === undefined ? {} : { repository }) };
    const read = await this.#headers.read(path, signal);
    if (!read.ok) {
      return { ...known, name: basename(path), bytes: bytes ?? 0, problem: read.error.message };
    }
    const { name } = read.value;
    if (bytes === undefined) {
      return { ...known, name, bytes: 0, problem: partsMissing(path) };
    }
    return { ...known, name, bytes, details: detailsOf(read.value, bytes, memory, settings) };
  }

  async inspect(
    repository: string,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Result<PublishedModel, Failure>> {
    const hub = this.#hub(token);
    if (!hub.ok) return hub;
    const found = await lookUp(hub.value, repository, signal);
    if (!found.ok) return found;
    const header = await this.#header(hub.value, found.value, signal);
    if (!header.ok) return header;
    const { name, commit, gated, licence, models } = found.value;
    const memory = await this.#options.memory();
    const settings = this.#options.settings();
    const files = models.map(async (model): Promise<PublishedFile> => {
      const missing = await missingBytes(this.#cache, found.value, model.files);
      const path = snapshotOf(this.#cache, { name, commit }, { name: model.file });
      return {
        file: model.file,
        quantisation: model.quantisation,
        bytes: bytesOf(model),
        missingBytes: missing,
        parts: model.files.length,
        ...(missing === 0 ? { path } : {}),
        fit: fitOf(header.value, bytesOf(model), memory, settings),
      };
    });
    const { architecture, trainedTokens, canChat, canFillInTheMiddle } = header.value;
    return succeed({
      repository: name,
      gated,
      ...(licence === undefined ? {} : { licence }),
      name: header.value.name,
      ...{ architecture, trainedTokens, canChat, canFillInTheMiddle },
      files: await Promise.all(files),
    });
  }

  /** What a header says is the same for all quantisations: that of the smallest is read. */
  async #header(
    hub: Hub,
    repository: Repository,
    signal: AbortSignal,
  ): Promise<Result<ModelHeader, Failure>> {
    const [file] = repository.models[0]?.files ?? [];
    if (file === undefined) return fail(noModel(repository.name));
    const key = `${hub.endpoint} ${repository.name} ${repository.commit} ${file.name}`;
    const known = this.#published.get(key);
    if (known !== undefined) return succeed(known);
    const reader = remoteReader(hub, repository, file);
    const header = await readHeader(file.name, reader, signal);
    if (header.ok) this.#published.set(key, header.value);
    return header;
  }

  async download(
    repository: string,
    file: string,
    token: string | undefined,
    onBytes: OnBytes,
    signal: AbortSignal,
  ): Promise<Result<{ readonly path: string }, Failure>> {
    const hub = this.#hub(token);
    if (!hub.ok) return hub;
    const found = await lookUp(hub.value, repository, signal);
    if (!found.ok) return found;
    const model = found.value.models.find((one: HubModel) => one.file === file);
    if (model === undefined) return fail(noModel(`${repository} ${file}`));
    const { download } = this.#options;
    const options = download === undefined ? {} : { options: download };
    const done = await downloadModel(
      { hub: hub.value, repository: found.value, model, cache: this.#cache, ...options },
      onBytes,
      signal,
    );
    if (!done.ok) return done;
    // What the hub sends is as it was published; that it is a model that can be loaded is another matter.
    const header = await this.#headers.read(done.value, signal);
    return header.ok ? succeed({ path: done.value }) : header;
  }
}

export const noModel = (name: string): Failure => ({
  code: 'DOWNLOAD_FAILED',
  message: `${name} has no GGUF model that is whole. Choose another repository: their names mostly end in "-GGUF".`,
});

function detailsOf(
  header: ModelHeader,
  bytes: number,
  memory: Memory,
  settings: SightlineSettings,
): ModelDetails {
  const { architecture, trainedTokens, canChat, canFillInTheMiddle } = header;
  const fit = fitOf(header, bytes, memory, settings);
  return { architecture, trainedTokens, canChat, canFillInTheMiddle, fit };
}

function catalogueModel(
  { layers, shape, ...entry }: CatalogueEntry,
  memory: Memory,
  settings: SightlineSettings,
): CatalogueModel {
  const { parameters, quantisation, trainedTokens } = entry;
  const bytes = Math.round((parameters * quantisationBits[quantisation]) / 8);
  const sized = {
    layers: Array.from({ length: layers }, () => shape),
    slides: false,
    trainedTokens,
    stepBytes: usualStepBytes,
  };
  return { ...entry, bytes, fit: fitOf(sized, bytes, memory, settings) };
}
