import type { LogOutputChannel } from 'vscode';
import {
  LanguageClient,
  RevealOutputChannelOn,
  type ErrorHandler,
  type StaticFeature,
} from 'vscode-languageclient/node';
import { DefinitionsRequest } from '../sidecar/protocol.ts';
import { isEnabledFor, sidecarSettings } from './config.ts';
import { findDefinitions } from './definitions.ts';
import type { Suggestions } from './nextEdit/suggestions.ts';
import { withoutSecrets } from './secrets.ts';
import type { SidecarProcess } from './sidecarProcess.ts';

/** Where files shown in an editor come from; the output view, search and input boxes are not among them. */
export const schemes = [
  'file',
  'untitled',
  'vscode-remote',
  'vscode-vfs',
  'vscode-userdata',
  'vscode-notebook-cell',
];

/** Leaves its errors in the log: what the user has to know of the sidecar's end, `Ctx` says once. Traces no secrets. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  override trace(message: string, data?: unknown): void {
    super.trace(message, typeof data === 'string' ? withoutSecrets(data) : data);
  }
}

/** Tells the sidecar that it may ask for definitions. */
const announceDefinitions: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.experimental = { sightline: { definitions: true } };
  },
  initialize: () => undefined,
  getState: () => ({ kind: 'static' }),
  clear: () => undefined,
};

/** The language client of Sightline. `start` is called for every run of the sidecar. */
export function createClient(
  start: () => SidecarProcess,
  errorHandler: ErrorHandler,
  outputChannel: LogOutputChannel,
  suggestions: Suggestions,
): LanguageClient {
  const client = new QuietClient('sightline', 'Sightline', () => Promise.resolve(start().child), {
    documentSelector: schemes.map((scheme) => ({ scheme })),
    initializationOptions: sidecarSettings,
    outputChannel,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    errorHandler,
    // Lines of stderr are logged where the process is started.
    stdioOptions: { stdout: () => undefined, stderr: () => undefined },
    initializationFailedHandler: (error: unknown) => {
      outputChannel.error('The sidecar could not be initialized', String(error));
      return false;
    },
    middleware: {
      provideInlineCompletionItems: async (document, position, context, token, next) => {
        if (!isEnabledFor(document)) return undefined;
        const given = await next(document, position, context, token);
        const items = Array.isArray(given) ? given : (given?.items ?? []);
        suggestions.given(document, position, items.length > 0);
        return given;
      },
    },
  });
  client.registerFeature(announceDefinitions);
  client.onRequest(DefinitionsRequest, findDefinitions);
  return client;
}
