/**
 * oidc-provider, imported quietly. It says on every import under Node 20 that it would rather have
 * Node 22; this line is known, and nobody who reads it can do anything about it.
 */
const { warn } = console;
console.warn = (...parts: unknown[]) => {
  if (!String(parts[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...parts);
};
const engine = await import('oidc-provider');
console.warn = warn;

export const { Provider, errors, interactionPolicy } = engine;
