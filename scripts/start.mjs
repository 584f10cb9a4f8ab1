/** `npm start`: builds Sightline and lets it be tried, in a browser, in desktop VS Code or in the terminal. */
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { installCodeServer } from './code-server/setup.mjs';
import { installExtension, startServer } from './code-server/server.mjs';
import { attempt, at, Failure, heading, main, onPath, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';
import { packageExtension } from './package.mjs';
import { fullFile, longFile, makeSampleWorkspace } from './sample-workspace.mjs';

const help = `Builds what is out of date, then starts Sightline.

  npm start                         VS Code in the browser, on this machine only; prints the URL
  npm start -- --port 8080          the same, on this port where it is free
  npm start -- --desktop            desktop VS Code, where its command 'code' is installed
  npm start -- --headless FILE:LINE one completion in the terminal, after line LINE of FILE;
                                    further options go to the command line of the sidecar:
  npm start -- --headless --help    lists these
  npm start -- --help               this text`;

const usualPort = 8790;

/** Made once: what the user changes in it stays until the list of files changes. */
async function sampleWorkspace() {
  const folder = at('build/sample-workspace');
  const inputs = { files: [at('scripts/sample-workspace.mjs'), at('package-lock.json')] };
  await once('sample-workspace', { ...inputs, outputs: [folder] }, () =>
    makeSampleWorkspace(folder),
  );
  return folder;
}

async function startInBrowser(port) {
  const vsix = await packageExtension();
  const workspace = await sampleWorkspace();
  await installCodeServer();

  const folder = at('build/start');
  const installed = at('build/start/extensions/extensions.json');
  await once('installed-vsix', { files: [vsix], outputs: [installed] }, () => {
    heading('installing the extension');
    installExtension(vsix, folder);
  });
  const server = await startServer({ folder, port });
  console.log(`
Sightline runs in VS Code at

    ${server.url(workspace)}

Try ${fullFile}, which the model sees whole, and
${longFile}, of which it says what does not fit.
Ctrl-C stops it.`);

  const ended = await server.ended;
  if (ended !== undefined) throw new Failure(`VS Code stopped by itself (${ended}).`);
  console.log('\nStopped.');
}

async function startOnDesktop() {
  const code = onPath('code');
  if (code === undefined) {
    throw new Failure(
      "VS Code's command 'code' is not on the PATH. Install VS Code (https://code.visualstudio.com); " +
        "on macOS also run 'Shell Command: Install code command in PATH' from its command palette.",
    );
  }
  await build();
  const workspace = await sampleWorkspace();
  const args = ['--new-window', `--extensionDevelopmentPath=${at('.')}`, workspace];
  await run(code, args, { shell: process.platform === 'win32' });
  console.log('Opened in VS Code.');
}

async function completeInTerminal(args) {
  await build();
  // The sidecar ends by itself at Ctrl-C; this process waits for that.
  process.on('SIGINT', () => {});
  const { code } = await attempt(
    process.execPath,
    [at('dist/sightline.mjs'), 'complete', ...args],
    {
      // Paths are meant from where npm was called.
      cwd: process.env.INIT_CWD ?? process.cwd(),
    },
  );
  process.exitCode = code;
}

function parsePort(text) {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new Failure(`--port takes a number from 1 to 65535, not ${text}.`);
}

function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean' },
        desktop: { type: 'boolean' },
        port: { type: 'string', default: String(usualPort) },
      },
    }).values;
  } catch (error) {
    throw new Failure(`${error.message}\n\n${help}`);
  }
}

await main(async () => {
  const args = process.argv.slice(2);
  const headless = args.indexOf('--headless');
  if (headless !== -1) {
    return completeInTerminal(args.toSpliced(headless, 1));
  }
  const options = parse(args);
  if (options.help) console.log(help);
  else if (options.desktop) await startOnDesktop();
  else await startInBrowser(parsePort(options.port));
});
