// The same with stores on a server.
import './back-channel-logout.test.ts';
