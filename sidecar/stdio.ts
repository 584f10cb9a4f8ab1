import { writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  createConnection,
  ErrorCodes,
  StreamMessageReader,
  StreamMessageWriter,
  type Connection,
  type Message,
} from 'vscode-languageserver/node';
import { cacheFolder } from './cacheFolder.ts';
import { SnapshotFiles } from './context/snapshotFiles.ts';
import { bundledModelPath, grammarsFolder, loadAddon } from './engine/load.ts';
import { installRuntimeHere } from './gpu/runtime.ts';
import { SelfChecks } from './engine/selfChecks.ts';
import { exitCodes } from './exit.ts';
import { serve } from './server.ts';
import { Grammars } from './syntax/parser.ts';

/** How long writing the cache to disk and freeing the model may hold up the exit once the client is gone, in milliseconds. */
const closingTime = 2000;

/** How long nothing happens before open documents are put into the cache, in milliseconds. */
const idleMs = 500;

/** One line that reaches stderr even when the process ends right after it. */
export function writeLine(line: string): void {
  try {
    writeSync(process.stderr.fd, `sightline: ${line}\n`);
  } catch {
    // Nobody reads stderr any more.
  }
}

/** Serves LSP on stdin and stdout until the client ends it. `defaults`: of the settings that it leaves out. */
export function serveStdio(version: string, defaults?: object): void {
  const reader = new StreamMessageReader(process.stdin);
  const writer = new StreamMessageWriter(process.stdout);
  const connection = createConnection(reader, writer);
  const server = serve(connection, {
    version,
    ...(defaults === undefined ? {} : { defaults }),
    bundledModel: bundledModelPath(),
    loadAddon: () => loadAddon(),
    installRuntime: (onProgress, signal) =>
      installRuntimeHere(() => loadAddon(), onProgress, signal),
    grammars: new Grammars(grammarsFolder(), (message) => {
      connection.console.warn(message);
    }),
    selfChecks: new SelfChecks(cacheFolder()),
    windowsFolder: join(cacheFolder(), 'windows'),
    snapshotFiles: new SnapshotFiles(join(cacheFolder(), 'snapshots')),
    idleMs,
  });

  let ending = false;
  const end = (code: number, line: string): void => {
    if (ending) return;
    ending = true;
    writeLine(line);
    setTimeout(() => process.exit(code), closingTime).unref();
    void server.close().finally(() => process.exit(code));
  };

  // A client that dies takes the sidecar with it.
  const gone = (): void => {
    end(exitCodes.withoutShutdown, 'the client closed the connection without shutdown and exit');
  };
  process.stdin.once('end', gone);
  process.stdin.once('close', gone);
  process.stdout.once('error', gone);

  reader.onError((error) => {
    if (error instanceof SyntaxError) {
      answerParseError(writer, error);
      writeLine(`a message is not valid JSON: ${error.message}`);
    } else {
      // Without a header nothing says where the next message starts.
      end(exitCodes.protocolBroken, `stdin does not carry LSP messages: ${error.message}`);
    }
  });
  reportStrayErrors(connection, (line) => {
    end(exitCodes.internalError, line);
  });
  connection.listen();
}

function answerParseError(writer: StreamMessageWriter, error: SyntaxError): void {
  const answer = {
    jsonrpc: '2.0',
    id: null,
    error: { code: ErrorCodes.ParseError, message: error.message },
  };
  writer.write(answer as Message).catch(() => undefined);
}

/** No error ends the process unseen: a stray rejection is told, a stray exception is told and ends it. */
function reportStrayErrors(connection: Connection, end: (line: string) => void): void {
  const describe = (error: unknown): string =>
    error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.on('unhandledRejection', (reason) => {
    const line = `unexpected error, please report it: ${describe(reason)}`;
    writeLine(line);
    connection.console.error(line);
  });
  process.on('uncaughtException', (error) => {
    const line = `unexpected error, please report it: ${describe(error)}`;
    connection.console.error(line);
    end(line);
  });
}
