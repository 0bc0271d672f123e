import { journey } from './journey.ts';
import { describeInBrowser } from './site.ts';

describeInBrowser('a user in a browser', () => journey({}));
