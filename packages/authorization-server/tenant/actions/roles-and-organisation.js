/**
 * Adds to both tokens what the contacts API and the web app go by: the user's roles, and the
 * organisation whose contacts they share. A post-login Action as it would be at Auth0.
 */
exports.onExecutePostLogin = async (event, api) => {
  const namespace = event.secrets.NAMESPACE;

  const roles = event.authorization ? event.authorization.roles : [];
  api.accessToken.setCustomClaim(`${namespace}roles`, roles);
  api.idToken.setCustomClaim(`${namespace}roles`, roles);

  const organisation = event.user.app_metadata.org_id;
  if (organisation) {
    api.accessToken.setCustomClaim(`${namespace}org_id`, organisation);
    api.idToken.setCustomClaim(`${namespace}org_id`, organisation);
  }
};
