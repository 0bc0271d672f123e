exports.onExecutePostLogin = async (event, api) => {
  api.idToken.setCustomClaim('https://##ENV##.example.com/roles', event.authorization.roles);
  api.idToken.setCustomClaim('https://##ENV##.example.com/stage', '##STAGE##');
};
