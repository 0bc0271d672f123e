import { z } from 'zod';

/** The custom claims this API reads, without their namespace. */
export const ContactsClaims = z.object({
  roles: z.array(z.string()).default([]),
  org_id: z.string().min(1).optional(),
});

export type ContactsClaims = z.infer<typeof ContactsClaims>;
