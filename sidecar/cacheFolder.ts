import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** The user's folder for what Sightline can make again, where the system wants it; XDG_CACHE_HOME goes before. */
export function cacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home = homedir(),
): string {
  const { XDG_CACHE_HOME: chosen = '', LOCALAPPDATA: local = '' } = env;
  if (isAbsolute(chosen)) return join(chosen, 'sightline');
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'sightline');
  if (platform !== 'win32') return join(home, '.cache', 'sightline');
  return join(local === '' ? join(home, 'AppData', 'Local') : local, 'sightline');
}
