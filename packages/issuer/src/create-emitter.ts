import { channel } from 'node:diagnostics_channel';

/**
 * Makes the function that publishes events: on a `node:diagnostics_channel`, and to a callback of the
 * application. A callback that throws, or whose promise is rejected, has no effect.
 *
 * A subscriber of the channel must not throw: Node turns that into an uncaught exception.
 *
 * @param channelName name of the channel, such as `koa-oauth:auth`
 * @param onEvent the application's callback
 */
export function createEmitter<Event extends object>(
  channelName: string,
  onEvent?: (event: Event) => unknown,
): (event: Event) => void {
  const published = channel(channelName);
  return function emit(event) {
    if (published.hasSubscribers) published.publish(event);
    if (onEvent === undefined) return;
    try {
      Promise.resolve(onEvent(event)).catch(() => {});
    } catch {}
  };
}
