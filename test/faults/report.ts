import type { FaultWindow, Ledger } from './ledger.ts';

const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(1);

/** Formats the ledger: a table of the faults, the counters, and broken rules. */
export function report(ledger: Ledger): string {
  const { windows, counts, wrongs, skipped } = ledger;
  const columns = ['fault', 'lasted s', 'good', 'failed', 'wrong', 'last failure s', 'all well s'];
  const isAllowed = ([name]: [string, number]) => name.startsWith('allowed: ');
  const all = [...counts].sort(([a], [b]) => a.localeCompare(b));
  const list = (entries: [string, number][]) =>
    table(entries.map(([name, count]) => [name.replace('allowed: ', ''), String(count)]));
  const parts = [
    table([columns, ...windows.map(row)]),
    'The last two columns: seconds from the end of the fault to the last failure, and until every\nworker had succeeded again.',
    list(all.filter((entry) => !isAllowed(entry))),
    `Failures that a fault explains:\n${list(all.filter(isAllowed))}`,
  ];
  if (skipped.length > 0) parts.push(`Skipped:\n${skipped.map((one) => `  ${one}`).join('\n')}`);
  const found = [...wrongs.values()].map(
    ({ rule, count, example }) => `  ${rule}: ${count} times, first: ${example}`,
  );
  parts.push(found.length === 0 ? 'Nothing is wrong.' : `WRONG:\n${found.join('\n')}`);
  return `${parts.join('\n\n')}\n`;
}

function row({ name, begun, ended = begun, well = ended, ...window }: FaultWindow): string[] {
  const recovered = Math.max(0, window.lastFailure - ended);
  const numbers = [window.good, window.failed, window.wrong].map(String);
  return [name, seconds(ended - begun), ...numbers, seconds(recovered), seconds(well - ended)];
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const cell = (text: string, i: number) =>
    i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`).join('\n');
}
