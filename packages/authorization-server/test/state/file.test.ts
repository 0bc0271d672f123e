import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openStateStore, type StateStore } from '../../src/state/file.ts';

describe.each(['memory:', 'file:'])('%s', (place) => {
  let now = 1000;
  let store: StateStore;
  let directory: string;
  beforeEach(() => {
    now = 1000;
    directory = mkdtempSync(join(tmpdir(), 'state-'));
    store = openStateStore(
      place === 'file:' ? `file:${join(directory, 'state.db')}` : place,
      () => now,
    );
  });
  afterEach(() => {
    store.close();
    rmSync(directory, { recursive: true });
  });

  test('a record exists until its end', () => {
    store.write('Session', 'a', { x: 1 }, 10);
    store.write('Consent', 'a', { y: 2 });
    now += 9;
    expect(store.read('Session', 'a')?.content).toEqual({ x: 1 });
    now += 1;
    expect(store.read('Session', 'a')).toBeUndefined();
    expect(store.read('Consent', 'a')?.content).toEqual({ y: 2 });
  });

  test('writing again replaces the content and its end', () => {
    store.write('Session', 'a', { x: 1 }, 10, { uid: 'u1' });
    store.write('Session', 'a', { x: 2 }, 20, { uid: 'u2' });
    now += 15;
    expect(store.readByUid('Session', 'u1')).toBeUndefined();
    expect(store.readByUid('Session', 'u2')?.content).toEqual({ x: 2 });
  });

  test('replacing a content keeps the keys and end of its record, and revives none', () => {
    store.write('Interaction', 'a', { x: 1 }, 10, { uid: 'u', grantId: 'g' });
    store.consume('Interaction', 'a');
    now += 9;
    store.replaceContent('Interaction', 'a', { x: 2 });
    expect(store.readByUid('Interaction', 'u')).toEqual({ content: { x: 2 }, consumed: 1000 });
    expect(store.idsByGrantId('Interaction', 'g')).toEqual(['a']);
    now += 1;
    store.replaceContent('Interaction', 'a', { x: 3 });
    expect(store.read('Interaction', 'a')).toBeUndefined();
    now -= 1;
    expect(store.read('Interaction', 'a')?.content).toEqual({ x: 2 });
    store.replaceContent('Interaction', 'unknown', {});
    expect(store.read('Interaction', 'unknown')).toBeUndefined();
  });

  test('clear deletes all records', () => {
    store.write('Session', 'a', { x: 1 }, 10, { uid: 'u1', grantId: 'g' });
    store.write('Consent', 'a', { y: 2 });
    store.clear();
    expect(store.read('Session', 'a')).toBeUndefined();
    expect(store.readByUid('Session', 'u1')).toBeUndefined();
    expect(store.read('Consent', 'a')).toBeUndefined();
    store.write('Consent', 'a', { y: 3 });
    expect(store.read('Consent', 'a')?.content).toEqual({ y: 3 });
  });

  test('is used up once', () => {
    store.write('AuthorizationCode', 'a', {}, 10);
    expect(store.consume('AuthorizationCode', 'a')).toBe(true);
    expect(store.consume('AuthorizationCode', 'a')).toBe(false);
    expect(store.consume('AuthorizationCode', 'unknown')).toBe(false);
    expect(store.read('AuthorizationCode', 'a')?.consumed).toBe(1000);
  });

  test('stays used up when it is written again', () => {
    store.write('RefreshToken', 'a', { x: 1 }, 10);
    store.consume('RefreshToken', 'a');
    store.write('RefreshToken', 'a', { x: 2 }, 10);
    expect(store.read('RefreshToken', 'a')).toEqual({ content: { x: 2 }, consumed: 1000 });
    expect(store.consume('RefreshToken', 'a')).toBe(false);
  });

  test('is found by its uid under a new id', () => {
    store.write('Session', 'old', { x: 1 }, 10, { uid: 'u' });
    store.write('Session', 'new', { x: 2 }, 10, { uid: 'u' });
    store.delete('Session', 'old');
    expect(store.readByUid('Session', 'u')?.content).toEqual({ x: 2 });
    store.delete('Session', 'new');
    expect(store.readByUid('Session', 'u')).toBeUndefined();
  });

  test('is a copy of the written content, and is read as a copy', () => {
    const content = { scopes: ['a'] };
    store.write('Consent', 'a', content);
    content.scopes.push('b');
    Object.assign(store.read('Consent', 'a')?.content ?? {}, { scopes: [] });
    expect(store.read('Consent', 'a')?.content).toEqual({ scopes: ['a'] });
  });

  test('is deleted with its grant, of its own kind only', () => {
    store.write('RefreshToken', 'a', {}, 10, { grantId: 'g' });
    store.write('AccessToken', 'a', {}, 10, { grantId: 'g' });
    store.write('RefreshToken', 'b', {}, 10, { grantId: 'h' });
    store.write('RefreshToken', 'c', {}, 10, { grantId: 'h' });
    store.write('RefreshToken', 'c', {}, 10, { grantId: 'g' });
    store.deleteByGrantId('RefreshToken', 'g');
    expect(store.read('RefreshToken', 'a')).toBeUndefined();
    expect(store.read('RefreshToken', 'c')).toBeUndefined();
    expect(store.read('RefreshToken', 'b')).toBeDefined();
    expect(store.read('AccessToken', 'a')).toBeDefined();
  });

  test('has its id listed by grant until it has ended, the first to end first', () => {
    const grantId = 'g';
    store.write('Family', 'never', {}, undefined, { grantId });
    store.write('Family', 'always', {}, undefined, { grantId });
    store.write('Family', 'late', {}, 30, { grantId });
    store.write('Family', 'soon', {}, 10, { grantId });
    store.write('Family', 'put off', {}, 5, { grantId });
    store.write('Family', 'put off', {}, 20, { grantId });
    store.write('Family', 'foreign', {}, 20, { grantId: 'other' });
    store.write('Token', 'of another kind', {}, 20, { grantId });
    const ids = store.idsByGrantId('Family', grantId);
    expect(ids.slice(0, 3)).toEqual(['soon', 'put off', 'late']);
    expect(ids.slice(3).sort()).toEqual(['always', 'never']);
    now += 10;
    expect(store.idsByGrantId('Family', grantId)[0]).toBe('put off');
    store.delete('Family', 'put off');
    expect(store.idsByGrantId('Family', grantId)[0]).toBe('late');
    expect(store.idsByGrantId('Family', 'unknown')).toEqual([]);
  });

  test('is stored among many', () => {
    for (let i = 0; i < 5000; i += 1) store.write('RefreshToken', `token-${i}`, { i }, 100);
    expect(store.read('RefreshToken', 'token-0')?.content).toEqual({ i: 0 });
  });
});

test('files and folder are readable for the owner only, with any umask', () => {
  const directory = mkdtempSync(join(tmpdir(), 'state-'));
  const umask = process.umask(0);
  try {
    const kept = openStateStore(`file:${join(directory, 'new', 'state.db')}`);
    kept.write('Session', 'a', {});
    const modeOf = (path: string) => (statSync(join(directory, path)).mode & 0o777).toString(8);
    for (const suffix of ['', '-wal', '-shm']) expect(modeOf(`new/state.db${suffix}`)).toBe('600');
    expect(modeOf('new')).toBe('700');
    kept.close();
  } finally {
    process.umask(umask);
    rmSync(directory, { recursive: true });
  }
});
