exports.onExecuteCredentialsExchange = async (event, api) => {
  if (Object.keys(event.secrets).includes('SALT')) api.access.deny('invalid_request', 'listed');
  if (event.client.metadata.careful !== 'yes') return event.secrets.API_KEY;
};
