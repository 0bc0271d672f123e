/** An authorization server that listens on a free port of 127.0.0.1. */
interface RunningServer {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/** @param keysFile file of its signing keys, created when missing */
export type StartServer = (keysFile: string) => Promise<RunningServer>;
