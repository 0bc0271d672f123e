import { z } from 'zod';

/** Whether a text can name somebody: 1 to 255 characters (OpenID Connect Core §2), none of them a control character. */
export function isIdentifier(text: string): boolean {
  return text.length >= 1 && text.length <= 255 && !/[\p{Cc}\p{Cs}]/u.test(text);
}

/** The custom claims this API reads, without their namespace. */
export const ContactsClaims = z.object({
  roles: z.array(z.string()).default([]),
  org_id: z.string().refine(isIdentifier, 'is not a short text').optional(),
});

export type ContactsClaims = z.infer<typeof ContactsClaims>;
