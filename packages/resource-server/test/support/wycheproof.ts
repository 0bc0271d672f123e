import { readFileSync } from 'node:fs';

/** A vector of Wycheproof (https://github.com/C2SP/wycheproof). */
export interface Vector {
  readonly tcId: number;
  readonly comment: string;
  /** A string; in a few vectors JSON serialization. */
  readonly jws: unknown;
  readonly result: 'valid' | 'invalid';
}

/** Vectors for one key or key set. */
export interface Group {
  readonly comment: string;
  readonly public?: { keys?: readonly unknown[] };
  readonly private: { keys?: readonly unknown[] };
  readonly tests: readonly Vector[];
}

function read(file: string): readonly Group[] {
  const url = new URL(`wycheproof/${file}`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] }).testGroups;
}

export const signatureGroups = read('json_web_signature_test.json');
export const keyGroups = read('json_web_key_test.json');
