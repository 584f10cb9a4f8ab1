/** Files whose text is no model's business: keys, passwords, and what environments are set up with. */
const names: readonly RegExp[] = [
  /^\.env(?:\..+)?$/i,
  /^\.(?:netrc|npmrc|pypirc|pgpass|htpasswd|git-credentials)$/i,
  /^id_(?:rsa|dsa|ecdsa|ed25519)(?:\.pub)?$/i,
  /\.(?:pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg)$/i,
  /^(?:credentials|secrets?)(?:\.\w+)?$/i,
];

/** Why a file is not for a model: by its name it looks as if it held secrets, or it is no text. */
export function untellable({
  name,
  text,
}: {
  /** Or a path that ends in it. */
  readonly name: string;
  readonly text: string;
}): 'secret' | 'binary' | undefined {
  const last = /[^/]*$/.exec(name)?.[0] ?? '';
  if (names.some((pattern) => pattern.test(last))) return 'secret';
  return text.includes('\0') ? 'binary' : undefined;
}
