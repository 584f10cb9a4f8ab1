import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { extensionRoot } from './engine/load.ts';

/** Sightline's own, from the manifest. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(extensionRoot(), 'package.json'), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}
