import * as l10n from '@vscode/l10n';
import { basename } from 'node:path';
import type {
  CatalogueModel,
  LocalModel,
  ModelFit,
  ModelList,
  PublishedFile,
  PublishedModel,
} from '../../sidecar/protocol.ts';

/** What the user may choose, and what is done then. */
export type Choice =
  | { readonly kind: 'use'; readonly path: string }
  | { readonly kind: 'download'; readonly model: CatalogueModel }
  | { readonly kind: 'browse' }
  | { readonly kind: 'repository' };

/** A line of a list; without a `choice` it is the title of those below. */
export interface Item<T> {
  readonly label: string;
  readonly description?: string;
  readonly detail?: string;
  readonly choice?: T;
}

const gigabytes = (bytes: number): string =>
  bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

const thousands = (tokens: number): string =>
  tokens < 1024 ? String(tokens) : `${Math.round(tokens / 1024)}K`;

const dotted = (...parts: readonly (string | undefined)[]): string =>
  parts.filter((part) => part !== undefined && part !== '').join(' · ');

const useName = (use: 'completion' | 'chat'): string =>
  use === 'chat' ? l10n.t('chat') : l10n.t('completion');

const icons = { gpu: '$(pass)', split: '$(pass)', cpu: '$(pass)', nowhere: '$(warning)' } as const;

const fitLine = ({ where, message }: ModelFit): string => `${icons[where]} ${message}`;

/** `inUse`: path of the model that the settings name. */
export function modelItems({ local, catalogue }: ModelList, inUse: string): Item<Choice>[] {
  const here = new Set(local.map(({ repository }) => repository));
  return [
    { label: l10n.t('On this machine') },
    ...[...local]
      .sort((a, b) => Number(b.path === inUse) - Number(a.path === inUse))
      .map((model) => localItem(model, model.path === inUse)),
    { label: `$(folder-opened) ${l10n.t('Browse for a GGUF file…')}`, choice: { kind: 'browse' } },
    { label: l10n.t('To download') },
    ...catalogueItems(catalogue.filter(({ repository }) => !here.has(repository))),
    repositoryItem(),
  ];
}

const repositoryItem = (): Item<Choice> => ({
  label: `$(cloud-download) ${l10n.t('Another repository of Hugging Face…')}`,
  choice: { kind: 'repository' },
});

/** Those that run here come first. */
export function downloadItems(catalogue: readonly CatalogueModel[]): Item<Choice>[] {
  return [...catalogueItems(catalogue), repositoryItem()];
}

function catalogueItems(catalogue: readonly CatalogueModel[]): Item<Choice>[] {
  const fits = ({ fit }: CatalogueModel): number => Number(fit.where === 'nowhere');
  return [...catalogue]
    .sort((a, b) => fits(a) - fits(b))
    .map((model) => ({
      label: model.name,
      description: dotted(
        model.uses.map((use) => useName(use)).join(', '),
        l10n.t('about {0}', gigabytes(model.bytes)),
        model.quantisation,
        l10n.t('{0} tokens', thousands(model.trainedTokens)),
        l10n.t('{0} licence', model.licence),
      ),
      detail: dotted(
        fitLine(model.fit),
        model.restriction === undefined ? undefined : `$(law) ${model.restriction}`,
      ),
      choice: { kind: 'download', model },
    }));
}

function localItem(model: LocalModel, isInUse: boolean): Item<Choice> {
  const { name, path, source, bytes, details, problem } = model;
  const uses = dotted(
    details?.canFillInTheMiddle === true ? useName('completion') : undefined,
    details?.canChat === true ? useName('chat') : undefined,
  );
  return {
    label: isInUse ? `$(check) ${name}` : name,
    description: dotted(
      isInUse ? l10n.t('in use') : undefined,
      source === 'bundled' ? l10n.t('comes with Sightline') : basename(path),
      uses,
      problem === undefined ? gigabytes(bytes) : undefined,
      details === undefined ? undefined : l10n.t('{0} tokens', thousands(details.trainedTokens)),
    ),
    detail: details === undefined ? `$(error) ${problem ?? ''}` : fitLine(details.fit),
    choice: { kind: 'use', path },
  };
}

/** The quantisations of a repository, the one asked for first. */
export function fileItems({ files }: PublishedModel, quantisation: string): Item<PublishedFile>[] {
  const asked = files.filter((file) => file.quantisation === quantisation);
  const others = files.filter((file) => file.quantisation !== quantisation);
  return [...asked, ...others].map((file) => {
    const { bytes, missingBytes, parts, fit } = file;
    const left = missingBytes < bytes ? l10n.t('{0} to go', gigabytes(missingBytes)) : undefined;
    return {
      label: file.quantisation === '' ? file.file : file.quantisation,
      description: dotted(
        gigabytes(bytes),
        parts > 1 ? l10n.t('{0} files', parts) : undefined,
        missingBytes === 0 ? l10n.t('on this machine') : left,
      ),
      detail: fitLine(fit),
      choice: file,
    };
  });
}
