/** The file that just about fills the bundled model's context, inside the workspace. */
export const fullFile: string;
/** The file of more than 3000 lines, of which most does not fit. */
export const longFile: string;
/** Writes the workspace anew into `folder`, and resolves to it. */
export function makeSampleWorkspace(folder: string): Promise<string>;
