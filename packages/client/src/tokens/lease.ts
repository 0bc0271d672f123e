import type { Session, Sessions } from '../session/session.ts';

/** Who holds it is the only one, over all processes, to renew the session's tokens. */
export interface Lease {
  /** For `Sessions.save`, which writes nothing when another has held the lease since. */
  readonly fence: number;
  /** @returns whether it is held, or could be taken once more after it was lost */
  regain(): Promise<boolean>;
  /** Gives it back. */
  end(): Promise<void>;
}

interface LeaseOptions {
  sessions: Pick<Sessions, 'acquireLease' | 'extendLease' | 'releaseLease'>;
  /** Milliseconds after which it falls back when its holder died; every third of it, it is renewed. */
  duration: number;
  onWarning: (error: Error) => void;
}

/** @returns the lease of a session, or undefined when another has it or the session has ended */
export async function takeLease(
  session: Session,
  { sessions, duration, onWarning }: LeaseOptions,
): Promise<Lease | undefined> {
  const taken = await sessions.acquireLease(session, duration);
  if (taken === undefined) return undefined;
  let fence = taken;
  const beat = setInterval(() => {
    // A store that is away for a moment costs nothing: two more beats come before the end.
    sessions.extendLease(session, fence, duration).catch(onWarning);
  }, duration / 3);
  beat.unref();

  return {
    get fence() {
      return fence;
    },
    async regain() {
      if (await sessions.extendLease(session, fence, duration)) return true;
      const again = await sessions.acquireLease(session, duration);
      if (again === undefined) return false;
      fence = again;
      return true;
    },
    async end() {
      clearInterval(beat);
      await sessions.releaseLease(session, fence).catch(onWarning);
    },
  };
}
