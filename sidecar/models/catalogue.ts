import type { LayerShape } from './header.ts';

export interface CatalogueEntry {
  readonly name: string;
  /** On the hub. */
  readonly repository: string;
  /** The quantisation to begin with, as file names have it; the hub says which others there are. */
  readonly quantisation: Quantisation;
  readonly parameters: number;
  readonly trainedTokens: number;
  /** What it was trained for; those for chat write completions too, if they know fill-in-the-middle markers. */
  readonly uses: readonly ('completion' | 'chat')[];
  readonly licence: string;
  /** What the licence does not allow, or asks for, as a sentence; absent: free to use. */
  readonly restriction?: string;
  readonly layers: number;
  readonly shape: LayerShape;
}

/** Bits per weight, the mean over a model: sizes before the hub has said the true ones. */
export const quantisationBits = { Q8_0: 8.5, Q6_K: 6.6, Q4_K_M: 4.9 } as const;

export type Quantisation = keyof typeof quantisationBits;

const heads = (kvHeads: number, size = 128): LayerShape => ({
  kvHeads,
  keySize: size,
  valueSize: size,
});

const apache = 'Apache-2.0';
const qwenResearch = {
  licence: 'Qwen Research',
  restriction: 'For research and evaluation only: no commercial use.',
} as const;
const openRail = {
  licence: 'BigCode OpenRAIL-M',
  restriction: 'Free to use but for the purposes that its licence excludes.',
} as const;

/** Code models that are worth a try, by size. Facts of the models' own cards; sizes and hashes of files come from the hub. */
export const catalogue: readonly CatalogueEntry[] = [
  {
    name: 'Qwen2.5-Coder 0.5B',
    repository: 'ggml-org/Qwen2.5-Coder-0.5B-Q8_0-GGUF',
    quantisation: 'Q8_0',
    parameters: 0.49e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    licence: apache,
    layers: 24,
    shape: heads(2, 64),
  },
  {
    name: 'Qwen2.5-Coder 1.5B',
    repository: 'ggml-org/Qwen2.5-Coder-1.5B-Q8_0-GGUF',
    quantisation: 'Q8_0',
    parameters: 1.54e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    licence: apache,
    layers: 28,
    shape: heads(2),
  },
  {
    name: 'Qwen2.5-Coder 1.5B Instruct',
    repository: 'Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF',
    quantisation: 'Q8_0',
    parameters: 1.54e9,
    trainedTokens: 32_768,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 28,
    shape: heads(2),
  },
  {
    name: 'Qwen2.5-Coder 3B',
    repository: 'ggml-org/Qwen2.5-Coder-3B-Q8_0-GGUF',
    quantisation: 'Q8_0',
    parameters: 3.09e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    ...qwenResearch,
    layers: 36,
    shape: heads(2),
  },
  {
    name: 'StarCoder2 3B',
    repository: 'second-state/StarCoder2-3B-GGUF',
    quantisation: 'Q8_0',
    parameters: 3.03e9,
    trainedTokens: 16_384,
    uses: ['completion'],
    ...openRail,
    layers: 30,
    shape: heads(2),
  },
  {
    name: 'Mellum 4B',
    repository: 'JetBrains/Mellum-4b-base-gguf',
    quantisation: 'Q8_0',
    parameters: 4.02e9,
    trainedTokens: 8192,
    uses: ['completion'],
    licence: apache,
    layers: 30,
    shape: heads(24),
  },
  {
    name: 'Qwen2.5-Coder 7B',
    repository: 'ggml-org/Qwen2.5-Coder-7B-Q8_0-GGUF',
    quantisation: 'Q8_0',
    parameters: 7.61e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    licence: apache,
    layers: 28,
    shape: heads(4),
  },
  {
    name: 'Qwen2.5-Coder 7B Instruct',
    repository: 'Qwen/Qwen2.5-Coder-7B-Instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 7.61e9,
    trainedTokens: 32_768,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 28,
    shape: heads(4),
  },
  {
    name: 'StarCoder2 7B',
    repository: 'second-state/StarCoder2-7B-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 7.17e9,
    trainedTokens: 16_384,
    uses: ['completion'],
    ...openRail,
    layers: 32,
    shape: heads(4),
  },
  {
    name: 'Granite 8B Code',
    repository: 'ibm-granite/granite-8b-code-base-4k-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 8.05e9,
    trainedTokens: 4096,
    uses: ['completion'],
    licence: apache,
    layers: 36,
    shape: heads(8),
  },
  {
    name: 'Granite 3.3 8B Instruct',
    repository: 'ibm-granite/granite-3.3-8b-instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 8.17e9,
    trainedTokens: 131_072,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 40,
    shape: heads(8),
  },
  {
    name: 'Seed-Coder 8B',
    repository: 'mradermacher/Seed-Coder-8B-Base-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 8.25e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    licence: 'MIT',
    layers: 32,
    shape: heads(8),
  },
  {
    name: 'Qwen2.5-Coder 14B',
    repository: 'QuantFactory/Qwen2.5-Coder-14B-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 14.77e9,
    trainedTokens: 32_768,
    uses: ['completion'],
    licence: apache,
    layers: 48,
    shape: heads(8),
  },
  {
    name: 'Qwen2.5-Coder 14B Instruct',
    repository: 'Qwen/Qwen2.5-Coder-14B-Instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 14.77e9,
    trainedTokens: 32_768,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 48,
    shape: heads(8),
  },
  {
    name: 'DeepSeek-Coder-V2 Lite Instruct',
    repository: 'bartowski/DeepSeek-Coder-V2-Lite-Instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 15.7e9,
    trainedTokens: 163_840,
    uses: ['chat', 'completion'],
    licence: 'DeepSeek',
    restriction: 'Free to use, commercially too, but for the purposes that its licence excludes.',
    layers: 27,
    // Latent attention: llama.cpp keeps this cache itself.
    shape: { kvHeads: 16, keySize: 192, valueSize: 128 },
  },
  {
    name: 'Codestral 22B',
    repository: 'bartowski/Codestral-22B-v0.1-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 22.2e9,
    trainedTokens: 32_768,
    uses: ['completion', 'chat'],
    licence: 'Mistral Non-Production',
    restriction: 'For research and tests only: no production use, and no commercial use.',
    layers: 56,
    shape: heads(8),
  },
  {
    name: 'Qwen3-Coder 30B-A3B Instruct',
    repository: 'unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 30.5e9,
    trainedTokens: 262_144,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 48,
    shape: heads(4),
  },
  {
    name: 'Qwen2.5-Coder 32B Instruct',
    repository: 'Qwen/Qwen2.5-Coder-32B-Instruct-GGUF',
    quantisation: 'Q4_K_M',
    parameters: 32.76e9,
    trainedTokens: 32_768,
    uses: ['chat', 'completion'],
    licence: apache,
    layers: 64,
    shape: heads(8),
  },
];
