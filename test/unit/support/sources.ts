import { ContextSources } from '../../../sidecar/context/sources.ts';

/** Nothing but what is open. */
export const openOnly = (): ContextSources =>
  new ContextSources({
    folders: () => [],
    pinned: () => [],
    searches: () => true,
    definitions: () => Promise.resolve([]),
  });
