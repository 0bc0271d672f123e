import { runTogether } from './run-together.ts';

await runTogether({ environment: process.env });
