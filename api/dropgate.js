// dropgate.d.ts describes this file. It stores only the time of the last redirect.
(() => {
"use strict";
if (globalThis.dropgate?.on instanceof Function) return; // loaded twice

const options = {}, filled = new WeakSet();
let known = null; // the session
let reading, skew, warnedOf, expiryTimer, started, leaving;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const url = (path) => new URL((options.base ?? api.base).replace(/\/?$/, "/") + path, location.href).href;

const emit = (name, detail) =>
	document.dispatchEvent(new CustomEvent("dropgate:" + name, { detail, bubbles: true, cancelable: true }));

function on(name, listener) {
	const call = (event) => listener(event.detail, event);
	document.addEventListener("dropgate:" + name, call);
	return () => document.removeEventListener("dropgate:" + name, call);
}

// call repeats what may succeed a moment later.
async function call(method, path, member, body, tries = 2) {
	const address = url(path), { getAccessToken } = options;
	for (let n = 1; ; n++) {
		const headers = body ? { "Content-Type": "application/json" } : {}, signal = AbortSignal.timeout(30000);
		let response, data, reason;
		try {
			if (getAccessToken) headers.Authorization = "Bearer " + (await getAccessToken());
			response = await fetch(address, {
				method, headers, body: JSON.stringify(body), signal, redirect: "error", cache: "no-store",
				keepalive: method === "PUT", credentials: getAccessToken ? "omit" : "include",
			});
			data = await response.json();
		} catch (error) {
			reason = error;
		}
		const status = response?.status, header = (name) => response?.headers.get(name);
		skew = Date.parse(header("Date")) - Date.now() || 0;
		if (response?.ok && data && (!member || data[member])) return data;
		if (status === 401 && method === "GET") return null;
		const [code, what] = signal.aborted ? ["Timeout", "did not answer in 30 seconds"]
			: status ? ["InvalidResponse", `answered ${status} without our JSON`] : ["NetworkError", `cannot be reached: ${reason}`];
		const fault = {
			code, message: `${address} ${what}.`, ...data, ...body,
			requestId: header("X-Request-Id"), retryAfter: Number(header("Retry-After")) || 0,
		};
		if (n < tries && (code === "NetworkError" || [429, 503, 504].includes(status))) {
			await wait(1000 * Math.min(fault.retryAfter || n, 5));
			continue;
		}
		if (status === 401) signInRequired(fault.requestId);
		else if (fault.href) emit("link-failed", fault);
		else if (fault.code === "ReauthenticationRequired") emit("reauthentication-required", fault);
		else emit(/^4(?!29)/.test(status) ? "refused" : "unavailable", fault);
		throw Object.assign(new Error(fault.message), fault);
	}
}

const token = (request = {}) => call("POST", "client-tokens", "token", request);
const keepAlive = async () => learn(await call("POST", "session", "user"));

async function session({ refresh } = {}) {
	if (refresh || !(known || reading)) {
		const mine = (reading = call("GET", "session", "user")
			.then((answer) => (reading === mine ? learn(answer) : answer))
			.finally(() => reading === mine && (reading = null)));
	}
	return reading ?? known;
}

function learn(session) {
	known = session;
	watchExpiry(true);
	fill(elementsIn(document));
	if (session) try { delete sessionStorage.dropgateRedirect; } catch {}
	return session;
}

// watchExpiry reads the session again before it warns: client tokens extend it.
function watchExpiry(fresh) {
	clearTimeout(expiryTimer);
	const expiresAt = known?.expiresAt, left = Date.parse(expiresAt) - skew - Date.now() - 120000;
	if (left > 0) expiryTimer = setTimeout(watchExpiry, Math.min(left, 2 ** 31 - 1));
	else if (expiresAt && !fresh) session({ refresh: true }).catch(() => {});
	else if (expiresAt && expiresAt !== warnedOf) emit("session-expiring", { expiresAt: (warnedOf = expiresAt), keepAlive });
}

const elementsIn = (root) => [root, ...(root.querySelectorAll?.("*") ?? [])].filter((e) => /^dwolla-/.test(e.localName));

// fill gives each element one id: one that creates a Customer must not get its customerId.
function fill(elements) {
	for (const element of elements) {
		const creates = /customer-create|-vcr$/.test(element.localName) && known?.correlationId;
		const name = creates ? "correlationId" : "customerId", id = creates || known?.customer?.id;
		if (!id || filled.has(element)) continue;
		filled.add(element);
		if (!element.getAttribute(name) && !element[name]) element.setAttribute(name, id);
	}
}

const place = (elements) =>
	elements[0] && session().then((session) => (session ? fill(elements) : signInRequired()), () => {});

// loginUrl shortens and encodes returnTo as the service requires.
function loginUrl(returnTo = options.returnTo ?? location.href) {
	const login = url("auth/login"), to = new URL(returnTo, location.href);
	if (to.href.length > 500) to.search = to.hash = "";
	const path = to.href.slice(login.startsWith(to.origin + "/") ? to.origin.length : 0);
	return login + "?return_to=" + encodeURIComponent(path.replace(/['"`<>{}|\\^]/g, (c) => "%" + c.charCodeAt().toString(16)));
}

function signIn(returnTo) {
	leaving = true;
	setTimeout(() => (leaving = false), 10000);
	location.assign(loginUrl(returnTo));
}

function signInRequired(requestId) {
	if (leaving || !emit("signin-required", { loginUrl: loginUrl(), requestId })) return;
	if (options.signIn ? options.signIn === "event" : options.getAccessToken) return;
	try {
		if (Date.now() - (sessionStorage.dropgateRedirect ?? 0) > 60000) {
			sessionStorage.dropgateRedirect = Date.now();
			return signIn();
		}
	} catch {} // without storage, nothing would end a loop
	emit("error", { message: "Still signed out after a sign-in. Does the browser accept its cookie?" });
}

async function signOut() {
	const answer = await call("POST", "auth/logout");
	learn(null);
	if (answer.endSessionUrl && options.signIn !== "event") location.assign(answer.endSessionUrl);
	return answer;
}

async function link(href) {
	const customer = await call("PUT", "session/customer", "href", { href }, 4);
	await session({ refresh: true }).catch(() => {});
	emit("linked", { customer });
	return customer;
}

// success also gets Dwolla's errors.
function success(result = {}) {
	const { resource, response = result } = result, { code, message, location, _embedded } = response;
	if (code && !location) emit("api-error", { code, message, resource, embedded: _embedded?.errors });
	else emit("success", { resource, location });
	if (known?.correlationId && /\/customers\/[^/]+$/.test(location)) link(location).catch(() => {});
	options.success?.(result);
}

function error(fault) {
	emit("error", { message: String(fault) });
	options.error?.(fault);
}

function setUpLibrary() {
	const { environment, styles } = options;
	if (globalThis.dwolla?.configure) dwolla.configure({ environment, styles, token, success, error });
	else setTimeout(setUpLibrary, 100);
}

// configure starts the library once the elements have ids.
async function configure(given = {}) {
	Object.assign(options, given);
	for (const name in given.on) on(name, given.on[name]);
	if (!started) {
		started = true;
		new MutationObserver((records) => place(records.flatMap((r) => [...r.addedNodes].flatMap(elementsIn))))
			.observe(document, { childList: true, subtree: true });
		document.addEventListener("visibilitychange", () => watchExpiry());
		setTimeout(() => globalThis.dwolla?.configure || emit("library-missing", { after: 10 }), 10000);
	}
	place(elementsIn(document));
	await Promise.race([session().then((session) => emit("ready", session), () => {}), wait(1500)]);
	setUpLibrary();
}

const script = document.currentScript;
const api = (globalThis.dropgate = { version: "1", base: "", configure, token, session, keepAlive, signIn, signOut, link, on });
if (script instanceof HTMLScriptElement) { // not an image of the name currentScript
	if (script.src) api.base = new URL(".", script.src).href;
	if (script.dataset.environment) configure(script.dataset);
}
})();
