/**
 * What VS Code calls inside the extension host (`extensionTestsPath`). Counts and report go to the
 * files that run.ts names: the console is shared with everything else in the host.
 */
import { appendFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format } from 'node:util';
import Mocha from 'mocha';

export function run(): Promise<void> {
  const { SIGHTLINE_TEST_COUNTS: countsFile, SIGHTLINE_TEST_REPORT: reportFile } = process.env;
  if (countsFile === undefined || reportFile === undefined) {
    throw new Error('Start this suite with test/vscode/run.ts.');
  }
  Mocha.reporters.Base.consoleLog = (...args: unknown[]) => {
    appendFileSync(reportFile, `${format(...args)}\n`);
  };
  const mocha = new Mocha({ ui: 'bdd', reporter: 'spec', timeout: 120_000, color: false });
  const grep = process.env['SIGHTLINE_TEST_GREP'] ?? '';
  if (grep !== '') mocha.grep(new RegExp(grep));
  const files = readdirSync(__dirname).filter((name) => name.endsWith('.test.cjs'));
  for (const file of files.sort()) mocha.addFile(path.join(__dirname, file));

  return new Promise((resolve, reject) => {
    const failures: string[] = [];
    const skips: { name: string; reason: string }[] = [];
    let passed = 0;
    const runner = mocha.run((failed) => {
      const counts = { passed, failed: failures.length, skipped: skips.length, failures, skips };
      writeFileSync(countsFile, JSON.stringify(counts));
      if (failed === 0) resolve();
      else reject(new Error(`${failed} tests failed`));
    });
    runner.on('pass', () => (passed += 1));
    runner.on('fail', (test) => failures.push(test.fullTitle()));
    runner.on('pending', (test) =>
      skips.push({ name: test.fullTitle(), reason: 'marked as pending in the suite' }),
    );
  });
}
