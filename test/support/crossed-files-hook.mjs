// Loaded into a service before it starts: answers on 127.0.0.1:COVERAGE_PORT with the files of the
// packages in which a function has run since the last answer.
import { createServer } from 'node:http';
import { Session } from 'node:inspector/promises';

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

createServer(async (_, response) => {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const ran = result.filter(({ functions }) =>
    // The first function of a module is the module itself, which runs at the load.
    functions.some(({ functionName, ranges }) => functionName !== '' && ranges[0].count > 0),
  );
  response.end(JSON.stringify(ran.map(({ url }) => url)));
})
  .listen(Number(process.env.COVERAGE_PORT), '127.0.0.1')
  .unref();
