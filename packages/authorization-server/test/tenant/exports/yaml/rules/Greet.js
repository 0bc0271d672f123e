function _greet(user, context, callback) {
  context.idToken['https://example.com/greeting'] = `${configuration.WORD} ${user.name}`;
  callback(null, user, context);
}
