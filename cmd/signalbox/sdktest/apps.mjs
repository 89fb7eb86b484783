// Apps and keys for an apps file, and the tokens a customer's backend would sign for them.
import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';

export const ALL_ACTIONS = ['publish', 'subscribe', 'presence', 'send'];

const hex = (bytes) => randomBytes(bytes).toString('hex');

export function secretKey(fields = {}) {
  return {
    id: `sk_id_${hex(16)}`,
    secret: `sk_secret_${hex(24)}`,
    channelPatterns: ['**'],
    actions: ALL_ACTIONS,
    ...fields,
  };
}

export function publishableKey(fields = {}) {
  return { id: `pk_live_${hex(16)}`, channelPatterns: ['**'], actions: ALL_ACTIONS, ...fields };
}

/** An app without limits; fields and plan override. */
export function app(keys, { plan = {}, ...fields } = {}) {
  return {
    id: `app_${hex(4)}`,
    suspended: false,
    plan: {
      name: 'SELF_HOSTED',
      maxConcurrentConnections: 0,
      maxMessagesPerPeriod: 0,
      overagesAllowed: false,
      overagesEnabled: false,
      ...plan,
    },
    ...fields,
    keys,
  };
}

/** A token as jsonwebtoken signs it: sub is the peerId, expiresIn in seconds, claims as the protocol names them. */
export function mint(key, sub, { expiresIn = 600, ...claims } = {}) {
  return jwt.sign(claims, key.secret, { algorithm: 'HS256', keyid: key.id, subject: sub, expiresIn });
}
