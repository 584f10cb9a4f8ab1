import { PassThrough } from 'node:stream';
import {
  createConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-languageserver/node';
import { SelfChecks } from '../../../sidecar/engine/selfChecks.ts';
import { fail } from '../../../sidecar/result.ts';
import { serve, type ServerOptions } from '../../../sidecar/server.ts';
import { LspClient } from './lspClient.ts';

/** An editor and the language server in one process. */
export function serveInProcess(
  options: Pick<ServerOptions, 'loadAddon' | 'idleMs'> & Partial<ServerOptions>,
): { readonly client: LspClient; readonly close: () => Promise<void> } {
  const toServer = new PassThrough();
  const toClient = new PassThrough();
  const connection = createConnection(
    new StreamMessageReader(toServer),
    new StreamMessageWriter(toClient),
  );
  const service = serve(connection, {
    version: '1.2.3',
    bundledModel: '/bundled.gguf',
    installRuntime: () =>
      Promise.resolve(fail({ code: 'GPU_UNAVAILABLE', message: 'There is no GPU.' })),
    selfChecks: new SelfChecks('/nowhere'),
    ...options,
  });
  connection.listen();
  return { client: new LspClient(toClient, toServer), close: () => service.close() };
}
