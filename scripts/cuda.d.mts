export const architectures: readonly number[];
export const kernelSources: readonly string[];
export function findNvcc(): string | undefined;
export function compileCubin(work: {
  readonly nvcc: string;
  readonly source: string;
  readonly architecture: number;
  readonly output: string;
}): Promise<string>;
