// Hands the answer of an authorization request to the page that asked for it in a frame.
const { response, origin } = document.currentScript.dataset;
const message = { type: 'authorization_response', response: JSON.parse(response) };
(window.opener ?? window.parent).postMessage(message, origin);
