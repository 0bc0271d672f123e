/**
 * Adds the user's roles and organization to both tokens, for the contacts API and the web app, and the
 * id of the session to the access token, so that a logout ends it. A post-login Action, as at Auth0.
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

  // A refresh has no session, but its token knows the id.
  const session = event.session?.id ?? event.refresh_token?.session_id;
  if (session) api.accessToken.setCustomClaim(`${namespace}sid`, session);
};
