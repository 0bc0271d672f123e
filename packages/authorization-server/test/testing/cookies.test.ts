import { expect, test } from '@jest/globals';
import { Cookies } from '../../src/testing/sign-in.ts';

const answering = (...lines: string[]) =>
  new Response(null, { headers: lines.map((line): [string, string] => ['set-cookie', line]) });

test('a cookie is sent to its path and below only (RFC 6265 section 5.1.4)', () => {
  const cookies = new Cookies();
  expect(cookies.header('/')).toBe('');
  cookies.store(answering('a=1; path=/; httponly', 'b=x=y==; Path=/u/login/1; SameSite=Lax'));
  expect(cookies.header('/authorize')).toBe('a=1');
  expect(cookies.header('/u/login/1')).toBe('a=1; b=x=y==');
  expect(cookies.header('/u/login/1/more')).toBe('a=1; b=x=y==');
  expect(cookies.header('/u/login/12')).toBe('a=1');
});

test('a later cookie of the same name and path replaces it, and an ended one removes it', () => {
  const cookies = new Cookies();
  cookies.store(answering('a=1; path=/', 'a=2; path=/x'));
  cookies.store(answering('a=3; path=/'));
  expect(cookies.header('/x')).toBe('a=3; a=2');
  cookies.store(answering('a=; path=/x; expires=Thu, 01 Jan 1970 00:00:00 GMT'));
  expect(cookies.header('/x')).toBe('a=3');
});
