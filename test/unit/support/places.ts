import type { Place } from '../../../sidecar/completion/place.ts';

/** A document in which `|` is the cursor. */
export function placeAt(source: string, uri = 'file:///a.ts'): Place {
  const offset = source.indexOf('|');
  return { uri, text: source.slice(0, offset) + source.slice(offset + 1), offset };
}
