import { runTogether } from './run-together.ts';

await runTogether({
  environment: process.env,
  hint: 'Ctrl-C stops all three. LOG_LEVEL=info npm start shows every request.',
});
