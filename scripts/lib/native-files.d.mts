/** What is wrong with the native files of a package, a sentence each. */
export function faultsOf(folder: string, target: string): Promise<string[]>;
