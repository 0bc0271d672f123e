// The same with stores on a server.
import './own-sessions.test.ts';
