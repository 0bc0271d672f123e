export {
  describeCause,
  describeError,
  InvalidSettings,
  type LoggedError,
  StartError,
} from './errors.ts';
export {
  type BrokenAnswerLogger,
  callerAddress,
  logBrokenAnswers,
  pathOf,
  type RequestLogger,
  type RequestLogOptions,
  rejectMalformedTarget,
  requestLog,
  type SecurityHeadersOptions,
  securityHeaders,
} from './middleware.ts';
export {
  flag,
  isLoopback,
  isSecureURL,
  isServerURL,
  listSettings,
  logLevel,
  otlpEndpoint,
  parseURL,
  port,
  readSettings,
  type Setting,
  splitList,
  wholeNumber,
} from './read-settings.ts';
export { type ListenOptions, type ServeOptions, type Service, serve } from './serve.ts';
export { GracefulServer, type GracefulServerOptions } from './server.ts';
