import { cpus } from 'node:os';
import { benchAuthorizationServer } from './authorization-server.ts';
import { benchClient } from './client.ts';
import { benchContactsApi } from './contacts-api.ts';
import { benchMemory } from './memory.ts';
import { benchResourceServer } from './resource-server.ts';
import { benchStart } from './start.ts';

const print = (text: string) => void process.stdout.write(text);

print(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}. Each app in a process of its own, the load in
another, all on loopback; rounds interleaved, medians of them. Compare the ratios: the absolute
figures depend on the machine and on what else it does.

## Protecting a route

`);
await benchResourceServer(print);
await benchContactsApi(print);
await benchClient(print);
await benchAuthorizationServer(print);
await benchStart(print);
await benchMemory(print);
process.exit(0);
