import type { VNode } from 'preact';
import type { User } from '../tenant/tenant.ts';

/** Initials, name, and what sets this user apart: roles and organisation. */
export function UserMark({ user }: { readonly user: User }): VNode {
  const organisation = user.app_metadata.org_id;
  const facts = [...user.roles, ...(typeof organisation === 'string' ? [organisation] : [])];
  return (
    <>
      <span class={`avatar hue-${hueOf(user.user_id)}`} aria-hidden="true">
        {initialsOf(user.name)}
      </span>
      <span class="user-text">
        <span class="user-name">{user.name}</span>
        <span class="user-facts">{facts.join(' · ') || user.email}</span>
      </span>
    </>
  );
}

function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const ends = words.length > 1 ? [words[0], words.at(-1)] : words;
  return ends.map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('');
}

/** One of the stylesheet's six colours, the same for a user every time. */
function hueOf(userId: string): number {
  return [...userId].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7) % 6;
}
