/**
 * Asks for a second factor when `acr_values` requests it, once in a session. A post-login Action, as at
 * Auth0.
 */
exports.onExecutePostLogin = async (event, api) => {
  const multiFactor = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';
  const isRequested = event.transaction?.acr_values.includes(multiFactor);
  const methods = event.authentication ? event.authentication.methods : [];

  if (isRequested && !methods.some((method) => method.name === 'mfa')) {
    api.authentication.challengeWithAny([{ type: 'otp' }, { type: 'email' }]);
  }
};
