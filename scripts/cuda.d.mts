export const architectures: readonly number[];
export const kernelSources: readonly string[];
export function cubinOf(source: string, architecture: number): string;
export function ptxasReportOf(source: string, architecture: number): string;
export function findNvcc(): string | undefined;
export function buildKernels(): Promise<string | undefined>;
