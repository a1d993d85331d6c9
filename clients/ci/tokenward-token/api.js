// The few questions to a server. No message names a token.

/** Asks; an answer that is an error throws with what the server says to do. */
exports.ask = async function ask(base, token, method, path, body, form) {
  let answer;
  try {
    answer = await fetch(`${base}${path}`, {
      method,
      headers: { ...(token && { authorization: `Token ${token}` }), ...(body && { 'content-type': 'application/json' }) },
      body: form ? new URLSearchParams(form) : body ? JSON.stringify(body) : undefined,
      signal: AbortSignal.timeout(30_000),
      redirect: 'error',
    });
  } catch (error) {
    throw new Error(`${base} cannot be reached: ${error.cause?.message ?? error.message}`);
  }
  // Of a stranger whose answer breaks off nobody knows what it was.
  const text = await answer.text().catch((error) => { throw new Error(`${base} cannot be reached: ${error.cause?.message ?? error.message}`); });
  if (answer.ok && text === '') return undefined;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${base} answers ${answer.status}, but not as Tokenward does. Is the address right?`);
  }
  // Behind a gateway a 5xx does not say whether something was done.
  if (!answer.ok) throw Object.assign(new Error(value?.detail ?? `${base} answers ${answer.status}.`), { refused: answer.status < 500 });
  return value;
};

/** The list of an answer. */
exports.list = function list(base, answer) {
  const results = answer?.results;
  if (Array.isArray(results) && results.every((it) => typeof it?.id === 'string' && typeof it.name === 'string')) return results;
  throw new Error(`${base} answers, but not as Tokenward does. Is the address right?`);
};

/** The server's address without a slash at its end. */
exports.base = function base(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new Error('`url` is the address of the server, such as https://tokens.example.com, without a user, a query or a fragment.');
  }
  return url.href.replace(/\/+$/, '');
};

/** The one of a list that somebody means by a name or an id. */
exports.find = function find(list, wanted, what) {
  const found = list.find((it) => it.id === wanted) ?? list.find((it) => it.name.toLowerCase() === wanted.toLowerCase());
  if (found) return found;
  throw new Error(`There is no ${what} \`${wanted}\`. There are: ${list.map((it) => it.name).join(', ')}.`);
};
