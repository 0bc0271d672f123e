import { journey } from './journey.ts';
import { describeInBrowser } from './site.ts';

const BOUND = { web: { DPOP: 'true' }, api: { DPOP: 'required', DPOP_NONCE: 'true' } };

describeInBrowser('a user in a browser whose tokens are bound to a key', () => journey(BOUND));
