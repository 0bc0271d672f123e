import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestIssuer } from '@koa-oauth/issuer/testing';
import got, { type Got } from 'got';
import { freePorts } from '../../../../test/support/services.ts';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** The API as a process of its own, configured by its environment. */
export interface ApiProcess {
  readonly port: number;
  /** Client that reuses its connections. */
  readonly api: Got;
  /** Ids of the processes that have answered a request, by their log lines. */
  pids(): ReadonlySet<number>;
  /** Sends a signal. @returns the exit code; null when the signal ended the process */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

const running = new Set<{ child: ChildProcess; folder: string }>();

/** Starts the API on `PORT` or a free port, and waits until it serves. */
export async function startApiProcess(environment: Record<string, string>): Promise<ApiProcess> {
  const { PORT = String((await freePorts(1))[0]) } = environment;
  const folder = mkdtempSync(join(tmpdir(), 'contacts-api-'));
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: { PATH: process.env.PATH, RATE_LIMIT: '1000000', ...environment, PORT },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.add({ child, folder });
  const pids = new Set<number>();
  child.stdout?.on('data', (lines) => {
    // The primary logs only warnings.
    for (const [, pid] of String(lines).matchAll(/"level":30,.*?"pid":(\d+)/g))
      pids.add(Number(pid));
  });
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  await Promise.race([
    once(child, 'message'),
    ended.then(() => Promise.reject(new Error(`the API did not start: ${stderr}`))),
  ]);
  return {
    port: Number(PORT),
    api: got.extend({
      prefixUrl: `http://127.0.0.1:${PORT}`,
      agent: { http: new Agent({ keepAlive: true }) },
      throwHttpErrors: false,
      retry: { limit: 0 },
      responseType: 'json',
    }),
    pids: () => pids,
    end(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

/** Kills the processes that a test has left running. */
export function endApiProcesses(): void {
  for (const { child, folder } of running) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  running.clear();
}

/** Makes the headers of an administrator with every scope. */
export function administrator(issuer: TestIssuer, organization = 'initech') {
  const token = issuer.token({
    sub: 'auth0|alice',
    aud: 'https://contacts.example.com/api',
    scope: 'read:contacts create:contacts update:contacts delete:contacts read:activity',
    'https://contacts.example.com/org_id': organization,
    'https://contacts.example.com/roles': ['admin'],
  });
  return { authorization: `Bearer ${token}` };
}

/** Reads all pages of a list. */
export async function readAll<Item>(
  api: Got,
  path: string,
  headers: Record<string, string>,
): Promise<Item[]> {
  const all: Item[] = [];
  let cursor: string | null | undefined;
  do {
    const searchParams = { limit: 100, ...(cursor && { cursor }) };
    const { items, next } = await api(path, { headers, searchParams }).json<{
      items: Item[];
      next: string | null;
    }>();
    all.push(...items);
    cursor = next;
  } while (cursor);
  return all;
}
