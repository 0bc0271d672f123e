/**
 * What stops the start, and is the operator's to put right: shown as it is, without a stack trace.
 */
export class StartError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.code = code;
  }
}

/** Settings that can't be used; the message names every one of them. */
export class InvalidSettings extends StartError {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super('invalid_settings', list('the settings are wrong', faults));
    this.name = 'InvalidSettings';
    this.faults = faults;
  }
}

/** A tenant file that can't be used; the message names every fault with its line and path. */
export class InvalidTenant extends StartError {
  readonly faults: readonly string[];

  constructor(file: string, faults: readonly string[]) {
    super('invalid_tenant', list(`the tenant file ${file} is wrong`, faults));
    this.name = 'InvalidTenant';
    this.faults = faults;
  }
}

function list(heading: string, faults: readonly string[]): string {
  return [`${heading}:`, ...faults.map((fault) => `  - ${fault}`)].join('\n');
}
