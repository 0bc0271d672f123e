import { z } from 'zod';

export const ACTIONS = ['created', 'updated', 'deleted'] as const;
export type Action = (typeof ACTIONS)[number];

/** Who did what to which contact, and when. Nothing of the contact itself: it may be gone for a reason. */
export const Activity = z
  .object({
    id: z.uuid(),
    at: z.iso.datetime(),
    subject: z.string().meta({ description: 'the `sub` of the access token' }),
    client_id: z
      .string()
      .nullable()
      .meta({ description: 'the client that the token was issued to' }),
    action: z.enum(ACTIONS),
    contact_id: z.uuid(),
  })
  .meta({ id: 'Activity' });

export type Activity = z.infer<typeof Activity>;
