// Tokens of a provider, made by jose; with its keys. Arguments: the modules, the issuer, whom tokens are for, a shared
// key. JSON on stdout.

const [modules, issuer, audience, secret] = process.argv.slice(2);
const jose = await import(`${modules}/jose/dist/node/esm/index.js`);
const sign = (algorithm, key, kid) =>
    new jose.SignJWT({ level: 3 })
        .setProtectedHeader({ alg: algorithm, kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject('ann')
        .setIssuedAt()
        .setExpirationTime('10m')
        .sign(key);
const keys = [];
const valid = {};
for (const algorithm of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const { publicKey, privateKey } = await jose.generateKeyPair(algorithm, { extractable: true });
    const kid = `jose-${algorithm}`;
    keys.push({ ...(await jose.exportJWK(publicKey)), kid, alg: algorithm });
    valid[`${algorithm} by jose`] = await sign(algorithm, privateKey, kid);
}
const shared = await sign('HS256', new TextEncoder().encode(secret), 'shared');
process.stdout.write(JSON.stringify({ keys, valid, shared }));
