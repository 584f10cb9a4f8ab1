/** Builds by CMake and Ninja. */
import { run } from './shell.mjs';

/** Configures a release with these settings, and builds all of it into `folder`. */
export async function buildRelease(from, folder, settings, env) {
  const given = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  const options = ['-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release', ...given];
  await run('cmake', ['-S', from, '-B', folder, ...options], { env });
  await run('cmake', ['--build', folder], { env });
}
