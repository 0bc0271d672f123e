/**
 * An identity provider that can't be used just now: 503 when it could not be reached in time, 502 when
 * its answer is wrong. The message is for the log; no secret is in it.
 */
export class ProviderFailure extends Error {
  readonly status: 502 | 503;

  constructor(status: 502 | 503, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProviderFailure';
    this.status = status;
  }
}

/** The identity provider, or the user there, said no; the message may go to the application. */
export class ProviderDenial extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProviderDenial';
  }
}
