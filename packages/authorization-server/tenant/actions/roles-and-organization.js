/**
 * Adds the user's roles and organization to both tokens, for the contacts API and the web app. A
 * post-login Action, as at Auth0.
 */
exports.onExecutePostLogin = async (event, api) => {
  const namespace = event.secrets.NAMESPACE;

  const roles = event.authorization ? event.authorization.roles : [];
  api.accessToken.setCustomClaim(`${namespace}roles`, roles);
  api.idToken.setCustomClaim(`${namespace}roles`, roles);

  const organization = event.user.app_metadata.org_id;
  if (organization) {
    api.accessToken.setCustomClaim(`${namespace}org_id`, organization);
    api.idToken.setCustomClaim(`${namespace}org_id`, organization);
  }
};
