/*
 * The engine prints a warning on Node 20 when it is imported. This module hides it, and must be imported
 * before. `await import()` in one module could do both, but then `require()` could not load the package.
 */
const { warn } = console;

console.warn = (...parts: unknown[]) => {
  if (!String(parts[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...parts);
};

/** Ends the effect of this module, after the engine was imported. */
export function showWarnings(): void {
  console.warn = warn;
}
