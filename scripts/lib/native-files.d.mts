/** What is wrong with the native files of a package, a sentence each. */
export function faultsOf(folder: string, target: string): Promise<string[]>;
/** The file of the backend library. */
export function backendName(target: string): string;
