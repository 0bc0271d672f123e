import type { Fault } from './fault.ts';
import type { Disturbance } from './ledger.ts';
import type { ServiceProcess } from './service-process.ts';
import type { Stage } from './stage.ts';

const SHORT_MS = [1000, 2500] as const;

/** Returns all faults of processes, databases and disks. */
export function machineFaults({ disk }: Stage): Fault[] {
  const ended = (
    name: string,
    signal: NodeJS.Signals,
    among: (stage: Stage) => readonly [ServiceProcess, ServiceProcess],
    disturbs: Disturbance,
  ): Fault => ({
    name,
    disturbs: [disturbs],
    lasts: SHORT_MS,
    async begin({ stage, random }) {
      const service = random.pick(among(stage));
      await service.end(signal);
      return () => service.start();
    },
  });
  const postgres = (name: string, mode: 'fast' | 'immediate'): Fault => ({
    name,
    disturbs: ['database'],
    lasts: SHORT_MS,
    async begin({ stage }) {
      await stage.postgres.stop(mode);
      return () => stage.postgres.start();
    },
  });
  const redis = (name: string, signal: NodeJS.Signals): Fault => ({
    name,
    disturbs: ['sessions'],
    lasts: SHORT_MS,
    async begin({ stage }) {
      await stage.redis.end(signal);
      return () => stage.redis.start();
    },
  });
  return [
    ended('a process of the API is killed', 'SIGKILL', (stage) => stage.apiProcesses, 'api'),
    ended('a process of the API is stopped', 'SIGTERM', (stage) => stage.apiProcesses, 'api'),
    ended('a process of the web app is killed', 'SIGKILL', (stage) => stage.webProcesses, 'web'),
    ended('a process of the web app is stopped', 'SIGTERM', (stage) => stage.webProcesses, 'web'),
    postgres('PostgreSQL is restarted', 'fast'),
    postgres('PostgreSQL crashes', 'immediate'),
    redis('Redis is restarted', 'SIGTERM'),
    redis('Redis is killed', 'SIGKILL'),
    {
      name: 'the disk of the sessions is full',
      disturbs: ['disk'],
      lasts: [2000, 4000],
      missing: disk ? undefined : 'nothing can be mounted here',
      async begin({ stage: { fileWebProcess } }) {
        // The restart shrinks the database file. A large file would have room for new sessions.
        await fileWebProcess?.end();
        await fileWebProcess?.start();
        disk?.fill();
        return () => disk?.empty();
      },
    },
  ];
}
