// An OpenID provider that is not ours (npm oidc-provider), with its development pages to log in at. Argument: the
// modules. It prints where it listens, then reads one line of JSON: `redirect_uris`, `post_logout_redirect_uris`, and
// how many seconds access tokens last; requests wait until then. What it grants it prints.

import http from 'node:http';
import readline from 'node:readline';

const [modules] = process.argv.slice(2);
const { Provider } = await import(`${modules}/oidc-provider/lib/index.js`);
let configured;
const ready = new Promise((resolve) => (configured = resolve));
const server = http.createServer(async (request, response) => (await ready)(request, response));
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
const line = await new Promise((resolve) => readline.createInterface({ input: process.stdin }).once('line', resolve));
const { redirect_uris, post_logout_redirect_uris, lasts } = JSON.parse(line);
const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    clients: [
        {
            client_id: 'shop',
            client_secret: 'a secret: of the client & its own',
            redirect_uris,
            post_logout_redirect_uris,
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
        },
    ],
    claims: { openid: ['sub'], email: ['email'] },
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@corp.test` }) }),
    issueRefreshToken: async () => true,
    pkce: { required: () => true },
    cookies: { keys: ['of these tests'] },
    ttl: { AccessToken: lasts, IdToken: 600, RefreshToken: 600, Session: 600, Grant: 600, Interaction: 600 },
});
provider.on('authorization.success', () => console.log('sends back'));
provider.on('grant.success', (context) => console.log(`grants ${context.oidc.params.grant_type}`));
provider.on('grant.error', (_, error) => console.log(`refuses ${error.message} ${error.error_description}`));
provider.on('authorization.error', (_, error) => console.log(`refuses ${error.message} ${error.error_description}`));
provider.on('server_error', (_, error) => console.log(`fails ${error.stack}`));
configured(provider.callback());
