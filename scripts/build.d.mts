/** Builds the native part of the benchmarks (bench/native) and resolves to the program's path. */
export function buildNativeBench(): Promise<string>;
