/** How a model is told what is before and behind the cursor, in a prompt that is text. */
export interface FimTemplate {
  readonly join: (prefix: string, suffix: string) => string;
  /** Markers that end an answer, where the server shows them. */
  readonly stops: readonly string[];
}

const framed = (before: string, between: string, behind: string): FimTemplate => ({
  join: (prefix, suffix) => before + prefix + between + suffix + behind,
  stops: [before, between, behind].map((marker) => marker.trim()),
});

const suffixFirst = (before: string, between: string, behind: string): FimTemplate => ({
  join: (prefix, suffix) => before + suffix + between + prefix + behind,
  stops: [before, between, behind].filter((marker) => marker !== ''),
});

/** By the family of a model; its name has one of these words in it. */
const families: readonly (readonly [name: RegExp, template: FimTemplate])[] = [
  [/qwen|codegemma|codeqwen/, framed('<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>')],
  [/mellum/, suffixFirst('<fim_suffix>', '<fim_prefix>', '<fim_middle>')],
  [/starcoder|granite|refact|stable-?code/, framed('<fim_prefix>', '<fim_suffix>', '<fim_middle>')],
  [/deepseek/, framed('<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>')],
  [/codestral|devstral/, suffixFirst('[SUFFIX]', '[PREFIX]', '')],
  [/seed-?coder/, suffixFirst('<[fim-suffix]>', '<[fim-prefix]>', '<[fim-middle]>')],
  [/code-?llama/, framed('<PRE> ', ' <SUF>', ' <MID>')],
];

/** The template of a model by its name; undefined: it is not known, and the server is told the suffix as such. */
export const fimTemplateOf = (model: string): FimTemplate | undefined =>
  families.find(([name]) => name.test(model.toLowerCase()))?.[1];
