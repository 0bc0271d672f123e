/** `event.transaction.metadata`: what Actions tell each other within one login. */
export type TransactionMetadata = Record<string, string | number | boolean>;

const ALL_BYTES = 16_384;

/**
 * Sets one property in place; null takes it away ("Actions Transaction Metadata").
 *
 * @throws Error when the value is no text, number or boolean, or all would have over 16 kB as JSON.
 */
export function writeTransactionMetadata(
  metadata: TransactionMetadata,
  key: unknown,
  value: unknown,
): void {
  if (typeof key !== 'string' || key === '' || key === '__proto__') {
    throw fault('the key must be a text');
  }
  if (value === null || value === undefined) {
    delete metadata[key];
    return;
  }
  if (!isPlain(value)) throw fault(`"${key}" is a ${typeof value}: give a text, number or boolean`);
  if (Buffer.byteLength(JSON.stringify({ ...metadata, [key]: value })) > ALL_BYTES) {
    throw fault(`all metadata has at most ${ALL_BYTES} bytes`);
  }
  metadata[key] = value;
}

function isPlain(value: unknown): value is string | number | boolean {
  return ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
}

function fault(what: string): Error {
  return new Error(`api.transaction.setMetadata: ${what}`);
}
