/** The model's sequences in an evaluation. Going back, and the product's own prompts, are of the first. */
export const sequences = { measured: 0, full: 1 } as const;
