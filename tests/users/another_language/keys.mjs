// An application in JavaScript: it gives a bot a key on Agentry, and lists the keys of an inbox.
// AGENTRY_BASE_URL, AGENTRY_API_KEY and INBOX are in the environment.

const { AGENTRY_BASE_URL, AGENTRY_API_KEY, INBOX } = process.env;
const PATH = `/human/v0/inboxes/${encodeURIComponent(INBOX)}/api-keys`;
const TRIES = 4;

async function ask(method, path, body) {
  const answer = await fetch(AGENTRY_BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${AGENTRY_API_KEY}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : await answer.json();
}

async function retried(request) {
  for (let left = TRIES - 1; ; left--) {
    try {
      return await request();
    } catch (error) {
      if (left === 0) throw error;
      console.error(`again, after: ${error.message}`);
    }
  }
}

async function keys() {
  const found = [];
  const query = new URLSearchParams({ limit: 2 });
  for (;;) {
    const page = await retried(() => ask("GET", `${PATH}?${query}`));
    found.push(...page.api_keys);
    if (!page.next_page_token) return found;
    query.set("page_token", page.next_page_token);
  }
}

// A create is not idempotent: if its answer is lost, the key that it left is deleted first.
async function create(name) {
  for (let left = TRIES - 1; ; left--) {
    try {
      return await ask("POST", PATH, { name });
    } catch (error) {
      if (left === 0) throw error;
      console.error(`the answer is lost: ${error.message}`);
      for (const key of await keys()) {
        if (key.name === name) await ask("DELETE", `${PATH}/${key.api_key_id}`);
      }
    }
  }
}

for (const name of process.argv.slice(2)) {
  const made = await create(name);
  console.log(`${made.name} has a key: ${made.api_key.startsWith("ag_")}`);
}
console.log((await keys()).map((key) => key.name).sort().join(" "));
