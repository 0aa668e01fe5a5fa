// Asking the server. An answer that is a problem becomes an error with a sentence for people.

export class Problem extends Error {
  constructor(word, message) {
    super(message);
    this.word = word;
  }
}

const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return given.length ? `?${new URLSearchParams(given)}` : '';
};

// Where something of the interface is. Each part of the path is somebody's text.
// It is a whole address, because one that is relative would repeat a password that stands in the
// page's own, which browsers refuse.
export const address = (parts, parameters = {}) =>
  `${location.origin}/web/api/${parts.map(encodeURIComponent).join('/')}${query(parameters)}`;

export const ask = async (parts, parameters, signal) => {
  let response;
  try {
    response = await fetch(address(parts, parameters), { signal, headers: { accept: 'application/json' } });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem('unreachable', 'The server does not answer. It may be stopped or on its way up again.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Problem(answer.error ?? 'failed', answer.message ?? `The server answered ${response.status}.`);
  }
  return answer;
};

// Does something again and again while the page is looked at. What fails once is tried again.
export const every = (period, signal, act) => {
  const timer = setInterval(() => {
    if (!document.hidden) act().catch(() => {});
  }, period);
  signal.addEventListener('abort', () => clearInterval(timer));
};
