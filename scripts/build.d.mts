/** Builds the native part of the benchmarks (bench/native) and resolves to the program's path. */
export function buildNativeBench(): Promise<string>;
/** Builds the addon with an emulated GPU; resolves to a folder that looks like the extension's. */
export function buildEmulatedAddon(): Promise<string>;
