import { createForge, type Forge, type ForgeOptions } from './forge.ts';
import { wrongClaims } from './wrong-claims.ts';
import { wrongForms } from './wrong-forms.ts';
import { wrongHeaders } from './wrong-headers.ts';
import { wrongSignatures } from './wrong-signatures.ts';

/** What is wrong with a hostile token. */
export type HostileTokenName = keyof ReturnType<typeof makeAll>;
/** Tokens that must be refused, each by what is wrong with it. */
export type HostileTokens = Readonly<Record<HostileTokenName, string>>;

/** Makes one token of every kind that must be refused. @throws TypeError when the claims name no audience */
export function hostileTokens(options: ForgeOptions): HostileTokens {
  return Object.freeze(makeAll(createForge(options)));
}

function makeAll(forge: Forge) {
  return {
    ...wrongSignatures(forge),
    ...wrongHeaders(forge),
    ...wrongClaims(forge),
    ...wrongForms(forge),
  };
}
