/** Files whose text is no model's business: keys, passwords, and what environments are set up with. */
const names: readonly RegExp[] = [
  /^\.env(?:\..+)?$/i,
  /^\.(?:netrc|npmrc|pypirc|pgpass|htpasswd|git-credentials)$/i,
  /^id_(?:rsa|dsa|ecdsa|ed25519)(?:\.pub)?$/i,
  /\.(?:pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg)$/i,
  /^(?:credentials|secrets?)(?:\.\w+)?$/i,
];

/** Whether a file looks, by its name, as if it held secrets. */
export const looksSecret = (name: string): boolean => names.some((pattern) => pattern.test(name));
