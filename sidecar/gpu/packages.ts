/**
 * ggml's CUDA backend as llama.cpp's packages on npm have it. They are not installed with the extension, since they are
 * large and of use to those with such a GPU only. Of the same release as the libraries beside the addon: package.json.
 */
export interface RuntimePackage {
  /** In the scope `@node-llama-cpp`. */
  readonly name: string;
  readonly version: string;
  /** SHA-512 of the archive, in base64, as npm's registry gives it. */
  readonly sha512: string;
  /** The library, inside the package. */
  readonly file: string;
  /** The major version of CUDA that it needs. */
  readonly cudaVersion: number;
}

/** A release's package has a folder of its own: with libraries of another release it would not work, or worse. */
export const folderOf = ({ name, version }: RuntimePackage): string => `${name}-${version}`;

/** By platform, the newest CUDA first. */
export const runtimePackages: Readonly<Record<string, readonly RuntimePackage[]>> = {
  'linux-x64': [
    {
      name: 'linux-x64-cuda',
      version: '3.22.1',
      sha512:
        '8rQCjyNNLZJUFit+YpjwlC4hwkKgOMIkB2wuycKBf8NU2O3ySKbiWZQ8aw9ku2nUTXjSnUIrE6KB88itduTBuA==',
      file: 'bins/linux-x64-cuda/libggml-cuda.so',
      cudaVersion: 13,
    },
    {
      name: 'linux-x64-cuda-ext',
      version: '3.22.1',
      sha512:
        '4e5ajkiM2aR2WAdB/N/ACk4weEhHvOAIrzxZPsIX0xDFW5+6hhShuy1/vs88SK9NGdgAco9IyE28eYS0H1efpA==',
      file: 'bins/linux-x64-cuda/fallback/libggml-cuda.so',
      cudaVersion: 12,
    },
  ],
};
