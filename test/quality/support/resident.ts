import fs from 'node:fs';

/**
 * Bytes of memory that this process has written to and holds, JavaScript's heap aside. On Linux
 * without pages of files: the system takes these away and brings them back as it likes.
 */
export function residentBytes(): number {
  globalThis.gc?.();
  const { rss, heapTotal } = process.memoryUsage();
  return (process.platform === 'linux' ? anonymousBytes() : rss) - heapTotal;
}

function anonymousBytes(): number {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
