/** A reporter for node:test: one JSON object with the counts, and what failed or was skipped. */
export default async function* countReporter(events) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    // A suite is counted only where it fails by itself, as when its `before` hook throws.
    const isSuite = data.details?.type === 'suite';
    // A file without a test counts for nothing, rather than as one that passed.
    const isFile = data.nesting === 0 && data.file === data.name;
    if (data.skip !== undefined || data.todo !== undefined) {
      counts.skipped += 1;
      const reason = [data.skip, data.todo].find((text) => typeof text === 'string' && text !== '');
      counts.skips.push({ name: data.name, reason: reason ?? 'no reason given' });
    } else if (type === 'test:fail') {
      if (isSuite && data.details.error?.failureType === 'subtestsFailed') continue;
      counts.failed += 1;
      counts.failures.push(data.name);
    } else if (!isSuite && !isFile) {
      counts.passed += 1;
    }
  }
  yield JSON.stringify(counts);
}
