/** Installs a packaged extension for servers that start in `folder`. Throws where that fails. */
export function installExtension(vsix: string, folder: string): void;

export interface ServerOptions {
  /** Where this server keeps its extensions, settings, data and log. */
  readonly folder: string;
  /** The port to take where it is free; otherwise, and by default, any free one. */
  readonly port?: number;
  /** User settings beside those that every server has; written where the folder has none. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The same for settings of scope `machine` and `machine-overridable`. */
  readonly machineSettings?: Readonly<Record<string, unknown>>;
  /** Environment variables for the server and its extension hosts. */
  readonly env?: Readonly<Record<string, string>>;
  /** Lets a URL's payload name an extension under development and a test suite to run. */
  readonly testDriver?: boolean;
  /** Folders are not trusted until the user trusts them; absent: all are. */
  readonly workspaceTrust?: boolean;
}

export interface Server {
  readonly port: number;
  /** `host:port`, as in `vscode-remote://AUTHORITY/path`. */
  readonly authority: string;
  /** Resolves when the server has ended: to how, where that was neither `stop` nor a signal. */
  readonly ended: Promise<string | undefined>;
  /** Ends the server and every process that it started. */
  stop(): Promise<void>;
  /** Where a browser finds VS Code with `workspace`, an absolute path, open. */
  url(workspace: string, payload?: readonly (readonly [string, string])[]): string;
}

/**
 * Starts a server on loopback; SIGINT, SIGTERM and SIGHUP stop it. Throws, with the end of its log,
 * where it does not come up.
 */
export function startServer(options: ServerOptions): Promise<Server>;
