/** Asks a Tokenward server whose API token a request carries, and what it may do. */
export { Tokenward, type TokenwardOptions } from './client.js';
export { Guard, type GuardOptions, type Needs, type Passed, type Presented, type Refusal } from './guard.js';
export { TokenwardError, type Allowed, type ErrorKind, type Holder, type Question, type Reason, type Verdict } from './wire.js';
