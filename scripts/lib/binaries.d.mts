export interface Binary {
  /** As Node names them: `process.platform` and `process.arch`. */
  readonly system: string;
  readonly machine: string | undefined;
  /** The libraries that it is loaded with. */
  readonly needs: readonly string[];
  /** Where these are looked for besides the system's places; empty on Windows. */
  readonly searches: readonly string[];
  /** Names without the underscore that macOS puts before them. */
  readonly exports: readonly string[];
  /** Of a file for macOS: whether it has a signature, without which an ARM64 processor runs nothing. */
  readonly signed?: boolean;
}

export function readBinary(file: string): Promise<Binary>;
