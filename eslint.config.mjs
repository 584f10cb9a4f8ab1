import tseslint from 'typescript-eslint';

/** Who may import whom; the same arrows as in docs/architecture.md. */
const forbid = (...patterns) => ({
  'no-restricted-imports': ['error', { patterns }],
});
const noVscode = {
  group: ['vscode', 'vscode-languageclient', 'vscode-languageclient/*'],
  message: 'The sidecar is a plain Node process: it never imports vscode.',
};

const noExtension = {
  regex: '(^|/)extension/',
  message: 'The sidecar does not know the extension.',
};

export default tseslint.config(
  { ignores: ['**/node_modules/**', 'build/**', 'dist/**', 'outputs/**'] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({
    ...config,
    files: ['**/*.ts'],
  })),
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['extension/**/*.ts'],
    rules: forbid(
      {
        regex: '(^|/)sidecar/(?!protocol\\.(ts|js)$)',
        message: 'The extension knows the sidecar only through sidecar/protocol.ts.',
      },
      {
        regex: '(^|/)native/|\\.node$',
        message: 'Native code never runs in the extension host.',
      },
    ),
  },
  {
    files: ['extension/*/view/**/*.ts'],
    languageOptions: {
      parserOptions: { projectService: false, project: 'extension/tsconfig.view.json' },
    },
    rules: forbid(
      { regex: '^(?:vscode(?:$|-)|node:)', message: 'A page runs in a browser.' },
      {
        regex:
          '^\\.\\./(?!.*(?:/view/|/protocol\\.ts$))(?!(?:\\.\\./)?(?:messages|format|describe)\\.ts$)',
        message:
          'A page knows the host only through messages.ts, and says things as the host does.',
      },
    ),
  },
  {
    files: ['test/unit/extension/*/view/**/*.ts', 'test/unit/support/page.ts'],
    languageOptions: {
      parserOptions: { projectService: false, project: 'test/tsconfig.view.json' },
    },
  },
  {
    files: ['sidecar/**/*.ts'],
    rules: forbid(noVscode, noExtension),
  },
  {
    files: ['sidecar/serve/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:vscode-languageserver|cli/|(?:server|service|stdio|ownRequests)\\.ts$)',
      message: 'The server for other tools knows neither editors nor the command line.',
    }),
  },
  {
    files: ['sidecar/{download,evaluation,fit,models,profile,quality,remote}/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:serve|cli)/',
      message: 'What is served or said does not know how.',
    }),
  },
  {
    files: ['sidecar/{engine,context,gpu,syntax}/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:completion|nextEdit|chat|serve|evaluation|fit|cli)/',
      message:
        'Completions and answers are made of the context and by the engine: neither knows of them.',
    }),
  },
  {
    files: ['sidecar/{chat,completion}/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '\\.\\./(?:chat|completion|nextEdit|serve|evaluation|fit|cli)/',
      message:
        'Conversations and completions share the context and the engine, and know nothing of each other, nor of who serves them.',
    }),
  },
  {
    files: ['sidecar/nextEdit/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:chat|serve|evaluation|fit|cli)/',
      message: 'Next edits follow from the syntax, and are written as completions are.',
    }),
  },
  {
    files: ['sidecar/engine/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:completion|nextEdit|chat|context|serve|evaluation|fit|cli)/',
      message: 'The engine knows tokens, not what they are of.',
    }),
  },
  {
    files: ['sidecar/syntax/**/*.ts'],
    rules: forbid(noVscode, noExtension, {
      regex: '(^|/)(?:completion|nextEdit|chat|context|engine|serve|evaluation|fit|cli)/',
      message: 'The syntax of a text knows neither models nor what is asked of them.',
    }),
  },
  {
    files: ['sidecar/protocol.ts'],
    rules: forbid(noVscode, {
      regex: '^\\.',
      message: 'protocol.ts stands alone: both sides import it.',
    }),
  },
  {
    // node:test's describe/it return promises that are not to be awaited.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': 'off' },
  },
);
