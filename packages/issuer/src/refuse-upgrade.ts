import type { ClientRequest } from 'node:http';

/**
 * Ends a request that the server answers by changing the protocol (101, RFC 9110 §15.2.2), which
 * nobody asked for. Without this got would wait for ever, whatever its timeouts say: for Node the
 * exchange is over then, and there is neither a response nor an error.
 *
 * @param request just sent; its error will be `ERR_UNWANTED_UPGRADE`
 */
export function refuseUpgrade(request: ClientRequest): void {
  request.once('upgrade', (_response, socket) => {
    socket.destroy();
    const error = new Error('the server wants to change the protocol');
    request.emit('error', Object.assign(error, { code: 'ERR_UNWANTED_UPGRADE' }));
  });
}
