// The same with stores on a server.
import './session-store-contract.test.ts';
