// The demo page. It integrates dropgate with the two lines in its head, like any other
// page. Everything here is about the demo: tabs, users, faults, attacks, inspector.

const $ = (id) => document.getElementById(id);
const service = "/dropgate";
const { linkRoot, stranger } = document.body.dataset;
// With a service in another process, the page has no inspector, no policy and no faults.
const inside = !document.body.classList.contains("outside");
const tabs = [...document.querySelectorAll("[role=tab]")];

let session = null; // the answer of GET /session
let state = null; // the answer of GET /demo/state

// make creates an element. Texts never become markup.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}

function say(text, mood = "info") {
  const status = $("status");
  status.textContent = text;
  status.dataset.mood = mood;
}

const short = (id) => (id?.length > 13 ? `${id.slice(0, 8)}…` : id);

// demo calls the demo's API.
async function demo(method, path, body) {
  const response = await fetch(`/demo/${path}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

// guarded runs an action of a button, and says what went wrong.
const guarded = (action) => (event) =>
  Promise.resolve(action(event)).catch((fault) => say(`That did not work: ${fault.message}`, "bad"));

// --- tabs

const chosen = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
const panelOf = (tab) => $(tab.getAttribute("aria-controls"));

function choose(tab, { focus = false } = {}) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.tabIndex = selected ? 0 : -1;
    panelOf(other).hidden = !selected;
    if (!selected) panelOf(other).querySelector("[data-live]").replaceChildren();
  }
  if (focus) tab.focus();
  tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  const name = tab.id.replace("tab-", "");
  if (new URL(location).searchParams.get("tab") !== name) history.replaceState(null, "", `?tab=${name}`);
  for (const link of document.querySelectorAll("[data-persona]")) link.href = signInURL(link.dataset.persona, name);
  mount();
}

const signInURL = (user, tab) => `/demo/sign-in?${new URLSearchParams({ user, tab })}`;

// mount puts the component of the chosen tab on the page, from the very markup that is
// shown as its code.
function mount() {
  const panel = panelOf(chosen());
  const live = panel.querySelector("[data-live]");
  fit(panel);
  if (session) live.replaceChildren(panel.querySelector("template").content.cloneNode(true));
  else live.replaceChildren(make("p", { class: "signed-out" }, "Choose a user above to see the component."));
}

// fits reports whether the signed-in user can finish a tab.
function fits({ dataset: { suits } }) {
  return suits === "new" ? Boolean(session && !session.customer) : session?.user.id === suits;
}

// fit says who can finish a tab.
function fit(panel) {
  const { suits } = chosen().dataset;
  for (const tab of tabs) tab.dataset.fits = fits(tab);
  const who = suits === "new" ? "a user without a Customer" : suits;
  panel.querySelector(".fit").dataset.fits = fits(chosen());
  panel.querySelector(".fit-text").textContent = fits(chosen()) ? `Fits ${session.user.id}, who is signed in.` : `Fits ${who}.`;
}

const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

function onTabKey(event) {
  const at = tabs.indexOf(event.target);
  const next = {
    Home: 0,
    End: tabs.length - 1,
    ...(event.key in steps && { [event.key]: (at + steps[event.key] + tabs.length) % tabs.length }),
  }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  choose(tabs[next], { focus: true });
}

// --- code

// paint colors markup. It moves text into spans and adds nothing.
function paint(code) {
  const parts = code.textContent.split(/(<\/?[\w-]+|\/?>|[\w-]+(?==")|"[^"]*")/);
  const kind = (text) =>
    /^<|>$/.test(text) ? "tag" : /^"/.test(text) ? "text" : "name";
  code.replaceChildren(
    ...parts.map((text, i) => (i % 2 ? make("span", { class: `code-${kind(text)}` }, text) : text)),
  );
}

async function copy(event) {
  await navigator.clipboard.writeText(event.target.closest("figure").querySelector("code").textContent);
  say("Copied.", "good");
}

// --- session

function row(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value ?? "—"));
}

function showSession() {
  const user = session?.user;
  $("who").replaceChildren(...(user ? [make("span", {}, "Signed in as "), make("b", {}, user.id)] : ["Signed out"]));
  $("sign-out").hidden = !user;
  for (const link of document.querySelectorAll("[data-persona]")) {
    if (link.dataset.persona === user?.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (!user) {
    $("session").replaceChildren(make("p", { class: "empty" }, "Nobody is signed in."));
    return;
  }
  const { customer, correlationId, expiresAt } = session;
  $("session").replaceChildren(
    make(
      "dl",
      {},
      row("User", `${user.name ?? user.id} (${user.id})`),
      row("Customer", customer ? make("code", {}, customer.id) : "none yet"),
      row("Status", customer ? customer.status ?? "unknown until a webhook reports it" : undefined),
      ...(correlationId ? [row("correlationId", make("code", {}, correlationId))] : []),
      row("Ends", expiresAt ? new Date(expiresAt).toLocaleTimeString() : undefined),
    ),
  );
}

function showState() {
  if (inside) {
    const policy = $("policy");
    policy.disabled = !state.policy;
    if (state.policy) policy.value = state.policy;
    $("fault").value = state.fault;
  }
  const allowed = inside ? state.allowed : (session?.actions ?? []);
  $("allowed-count").textContent = allowed.length;
  $("allowed").replaceChildren(...allowed.map((action) => make("li", {}, action)));
  $("entry").textContent = JSON.stringify(state.entry, null, 2);
  for (const { user, description } of state.personas) addPersona(user, description);
}

function addPersona(user, description) {
  if (document.querySelector(`[data-persona="${CSS.escape(user)}"]`)) return;
  const link = make(
    "a",
    { class: "person", "data-persona": user, href: signInURL(user, chosen().id.replace("tab-", "")) },
    make("b", {}, user),
    make("span", {}, description),
  );
  $("people").insertBefore(make("li", {}, link), $("new-user")?.closest("li") ?? null);
}

// load reads the session and the state.
async function load(options) {
  session = await dropgate.session(options);
  state = await demo("GET", `state?${new URLSearchParams({ user: session?.user.id ?? "" })}`);
  showState();
  showSession();
  fit(panelOf(chosen()));
}

const refresh = () => load({ refresh: true });

async function makeUser() {
  const { user } = await demo("POST", "new-user");
  location.assign(signInURL(user, chosen().id.replace("tab-", "")));
}

async function signOut() {
  await dropgate.signOut();
}

async function changePolicy() {
  const policy = $("policy").value;
  await demo("POST", "policy", { user: session.user.id, policy });
  await refresh();
  say(`${session.user.id} now has the policy ${policy}. The next token follows it.`, "good");
}

async function changeFault() {
  const fault = $("fault").value;
  await demo("POST", "fault", { fault });
  say(fault === "none" ? "Dwolla works again." : `Dwolla now has the fault ${fault}. Load the component again.`, fault === "none" ? "good" : "bad");
}

// --- what the page learns

const plainWords = {
  "signin-required": "Nobody is signed in.",
  "reauthentication-required": "The policy wants a fresher sign-in.",
  refused: "dropgate refuses, and would refuse again.",
  unavailable: "dropgate, Dwolla or the network fails, even at a second attempt.",
  "api-error": "Dwolla refuses what the component sent.",
  success: "The component has finished a step.",
  linked: "The new Customer is the user’s own now.",
  "link-failed": "The new Customer could not be linked.",
  error: "The component or the library fails.",
  "session-expiring": "The session ends within two minutes.",
  "library-missing": "Dwolla’s library has not arrived.",
};

const maxEvents = 4;
const goodNews = ["success", "linked", "ready"];

// stay returns a button that extends the session.
function stay(keepAlive) {
  const button = make("button", { type: "button" }, "Stay signed in");
  const extend = async () => {
    await keepAlive();
    await refresh();
    say("The session goes on.", "good");
  };
  button.addEventListener("click", guarded(extend));
  return button;
}

function learn(name, detail) {
  const facts = Object.entries(detail ?? {}).filter(([, value]) => value && ["string", "number"].includes(typeof value));
  const good = goodNews.includes(name);
  $("page-event").prepend(
    make(
      "li",
      { class: "event", "data-mood": good ? "good" : "bad", "data-event": name },
      make("p", {}, make("code", {}, `dropgate:${name}`), " ", plainWords[name]),
      make("dl", {}, ...facts.map(([key, value]) => row(key, make("code", {}, String(value))))),
      detail?.keepAlive ? stay(detail.keepAlive) : "",
    ),
  );
  while ($("page-event").children.length > maxEvents) $("page-event").lastElementChild.remove();
  $("page-event-empty").hidden = true;
  say(plainWords[name], good ? "good" : "bad");
}

// --- inspector

const maxRows = 100;
const waiting = new Set(); // of attacks for what the inspector shows

function cell(...lines) {
  const [first, ...rest] = lines.filter(Boolean);
  return make("td", {}, first ?? "", ...rest.map((line) => make("small", {}, line)));
}

// breakable lets a long name wrap after its dots and slashes.
const breakable = (name) => name.split(/(?<=[./])/).flatMap((part) => [part, make("wbr")]);

// why names the rule that allowed a token, or says why there is none.
function why({ reason, outcome, rule, mode, changed_at: changedAt }) {
  if (reason) return make("span", { class: "why", title: reason }, reason);
  return (outcome === "vended" && rule) || (changedAt && `by ${mode}`);
}

const good = ["vended", "linked", "unlinked", "signed_in", "signed_out", "read"];

function inspect({ type, data }) {
  const entry = JSON.parse(data);
  for (const check of waiting) check(entry);
  const what = type === "audit" ? entry.action || entry.event : `${entry.method} ${entry.route ?? "unknown path"}`;
  const outcome = (type === "audit" && entry.outcome) || entry.code;
  const who = [entry.user || "not signed in", short(entry.customer)].filter(Boolean).join(" · ");
  const took = entry.duration_ms === undefined ? undefined : `${entry.duration_ms.toFixed(1)} ms`;
  const line = make(
    "tr",
    { "data-outcome": outcome, "data-action": entry.action || undefined },
    cell(make("b", {}, ...breakable(what)), who, new Date(entry.time).toLocaleTimeString()),
    cell(make("span", { class: "badge", "data-mood": good.includes(outcome) ? "good" : "bad" }, outcome), why(entry)),
    cell(
      entry.status ? String(entry.status) : "—",
      took,
      entry.dwolla_request_id && make("code", { title: `Dwolla’s request id: ${entry.dwolla_request_id}` }, short(entry.dwolla_request_id)),
    ),
  );
  const body = $("inspector").tBodies[0];
  body.prepend(line);
  while (body.rows.length > maxRows) body.deleteRow(-1);
  $("inspector-empty").hidden = true;
}

let stream = null;

// listen opens the stream. A hidden page closes it, since browsers allow few
// connections, unless an attack waits for its trace.
function listen() {
  if (!inside) return;
  if (document.hidden && waiting.size === 0) {
    stream?.close();
    stream = null;
    return;
  }
  if (stream) return;
  $("inspector").tBodies[0].replaceChildren(); // the stream repeats the last ones
  stream = new EventSource("/demo/events");
  const mark = (text, mood) => {
    $("stream").textContent = text;
    $("stream").dataset.state = mood;
  };
  stream.addEventListener("open", () => mark("live", "on"));
  stream.addEventListener("error", () => mark("reconnecting", "off"));
  for (const type of ["audit", "access"]) stream.addEventListener(type, inspect);
}

// seen waits for a new entry in the inspector.
function seen(condition, milliseconds) {
  const since = Date.now();
  return new Promise((resolve) => {
    const check = (entry) => Date.parse(entry.time) >= since && condition(entry) && end(entry);
    const end = (entry) => {
      clearTimeout(timer);
      waiting.delete(check);
      listen();
      resolve(entry);
    };
    const timer = setTimeout(end, milliseconds, null);
    waiting.add(check);
  });
}

// --- attacks

async function send(what, method, path, body, options) {
  const response = await fetch(service + path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });
  const { code, message, requestId } = await response.json();
  return { steps: [{ what, status: response.status, code, message, requestId }], refused: !response.ok };
}

// victim is the Customer of another demo user.
function victim() {
  const other = state.personas.find(({ user, customer }) => customer && user !== session?.user.id && customer !== session?.customer?.id);
  return { name: other.user, href: `${linkRoot}/customers/${other.customer}` };
}

const attacks = {
  "foreign-customer"() {
    const { name, href } = victim();
    return send(`A token for ${name}’s Customer`, "POST", "/client-tokens", { action: "customer.read", _links: { customer: { href } } });
  },
  "claim-customer"() {
    const { name, href } = victim();
    return send(`${name}’s Customer, as if it were mine`, "PUT", "/session/customer", { href });
  },
  "forbidden-action"() {
    return send("A token for customer.transfers.send", "POST", "/client-tokens", { action: "customer.transfers.send" });
  },
  "no-session"() {
    return send("A token, without the cookie", "POST", "/client-tokens", { action: "customer.read" }, { credentials: "omit" });
  },
  async "cross-origin-form"() {
    const arrived = seen(({ code }) => code === "CrossOriginRequest", 10_000);
    window.open(stranger, "_blank", "noopener,width=560,height=420");
    const entry = await arrived;
    const what = `A form on ${new URL(stranger).origin} posts to dropgate`;
    if (!entry) return { steps: [{ what, status: 0, message: "It did not arrive. Does the browser block new windows?" }], refused: false };
    const { status, code, reason, request_id: requestId } = entry;
    return { steps: [{ what, status, code, message: reason, requestId }], refused: true };
  },
  "replayed-cookie": () => demo("POST", "attack/replayed-cookie"),
  "forged-webhook": () => demo("POST", "attack/forged-webhook"),
};

async function attack(name) {
  $("attack-result").replaceChildren(make("p", { class: "empty" }, "Attacking …"));
  const { steps, refused } = await attacks[name]().catch((fault) => ({
    steps: [{ what: "The attack did not get through", status: 0, message: fault.message }],
    refused: false,
  }));
  $("attack-result").replaceChildren(
    make("p", { class: "verdict", "data-mood": refused ? "good" : "bad" }, refused ? "Refused" : "Not refused"),
    make(
      "ol",
      {},
      ...steps.map(({ what, status, code, message, requestId }) =>
        make(
          "li",
          {},
          `${what}: `,
          make("code", {}, [status || "no answer", code].filter(Boolean).join(" ")),
          message ? make("span", {}, message) : "",
          requestId ? make("small", {}, `request ${requestId}`) : "",
        ),
      ),
    ),
  );
}

// --- start

function wire() {
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", onTabKey);
  }
  for (const code of document.querySelectorAll("figure code")) paint(code);
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", guarded(copy));
  for (const button of document.querySelectorAll("#new-user, [data-make-user]")) button.addEventListener("click", guarded(makeUser));
  $("sign-out").addEventListener("click", guarded(signOut));
  $("policy")?.addEventListener("change", guarded(changePolicy));
  $("fault")?.addEventListener("change", guarded(changeFault));
  $("reload")?.addEventListener("click", mount);
  for (const name of Object.keys(attacks)) $(`attack-${name}`)?.addEventListener("click", guarded(() => attack(name)));
  for (const name of Object.keys(plainWords)) dropgate.on(name, (detail) => learn(name, detail));
  dropgate.on("linked", guarded(refresh));
  document.addEventListener("visibilitychange", listen);
  const narrow = matchMedia("(max-width: 60rem)");
  const turn = () => document.querySelector("[role=tablist]").setAttribute("aria-orientation", narrow.matches ? "horizontal" : "vertical");
  narrow.addEventListener("change", turn);
  turn();
}

wire();
listen();
await load().catch((fault) => say(`The sandbox does not answer: ${fault.message}`, "bad"));
choose($(`tab-${new URL(location).searchParams.get("tab")}`) ?? tabs[0]);
say(session ? `Signed in as ${session.user.id}.` : "Choose a user to begin.");
