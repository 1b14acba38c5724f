// The page: one conversation a tenant, its turns as they stream in, and the order beside it.

import * as api from "./api.js";
import { cardList } from "./cards.js";
import { byId, element } from "./dom.js";
import { currentLanguage, nextLanguage, say, switchLanguage } from "./messages.js";
import { showOrder } from "./order.js";

const address = new URLSearchParams(location.search);
const state = { tenant: address.get("tenant") ?? "", thread: "", order: null, submitted: [], busy: false };

function showWords() {
  document.documentElement.lang = currentLanguage();
  for (const place of document.querySelectorAll("[data-message]")) place.textContent = say(place.dataset.message);
  byId("message").placeholder = say("placeholder");
  byId("send").setAttribute("aria-label", say("send"));
  byId("fresh").setAttribute("aria-label", say("freshLabel"));
  byId("language").textContent = nextLanguage().toUpperCase();
  byId("language").setAttribute("aria-label", say("language"));
  byId("theme").setAttribute("aria-label", say("theme"));
  paintOrder();
  if (byId("turns").querySelector(".welcome")) welcome();
}

const threadName = () => `thread:${state.tenant}`;
const paintOrder = () => showOrder(state.order, state.submitted, { confirm, speak, busy: state.busy });

function welcome() {
  const examples = say("examples").map((words) =>
    element("li", {}, element("button", { type: "button", onclick: () => speak(words) }, words)));
  byId("turns").replaceChildren(element("li", { className: "welcome" },
    element("strong", {}, say("welcome")), say("welcomeHelp"), element("ul", {}, examples)));
}

function put(...rows) {
  byId("turns").querySelector(".welcome")?.remove();
  byId("turns").append(...rows);
  rows.at(-1)?.scrollIntoView({ block: "end", behavior: "auto" });
}

function showReply(reply) {
  const { metadata } = reply;
  const rows = [element("li", { className: "said theirs" }, reply.text)];
  if (metadata.degraded && metadata.degraded !== "not_configured") rows.push(element("li", { className: "how" }, say("degraded")));
  if (metadata.low_confidence && reply.cards.length) rows.push(element("li", { className: "how warn" }, say("low")));
  if (reply.cards.length) rows.push(element("li", {}, cardList(reply.cards, speak)));
  put(...rows);
  // A long answer is read from its beginning.
  rows[0].scrollIntoView({ block: "nearest" });
  state.order = reply.order;
  state.submitted = reply.submitted;
}

function busy(is) {
  state.busy = is;
  byId("send").disabled = is;
  byId("progress").classList.toggle("busy", is);
  byId("progress").textContent = is ? say("thinking") : "";
  paintOrder();
}

async function take(body, key) {
  busy(true);
  try {
    const { tenant, thread } = state;
    const reply = await api.turn({ tenant, ...(thread && { thread }), locale: currentLanguage(), ...body }, key, showStep);
    // A conversation that begins gets its name by the first answer.
    if (!thread) localStorage.setItem(threadName(), state.thread = reply.thread);
    showReply(reply);
  } catch (error) {
    showFailure(error, () => take(body, key));
  } finally {
    busy(false);
  }
}

function showStep(name, event) {
  const words = name === "planner" ? "planner" : event.name.startsWith("order_") ? "order_tool" : event.name;
  byId("progress").textContent = say(words) ?? say("thinking");
}

function showFailure(error, again) {
  if (error.status === 401 || error.status === 403) {
    byId("key-form").onsubmit = () => { sessionStorage.setItem("key", byId("key-value").value.trim()); again(); };
    byId("key").showModal();
    return;
  }
  const words = error instanceof api.Problem && error.message ? error.message : say("failed");
  const row = element("li", { className: "said failed", role: "alert" }, element("span", {}, words),
    element("button", { type: "button", onclick: () => { row.remove(); again(); } }, say("retry")));
  put(row);
}

function speak(words) {
  const message = words.trim();
  if (!message || state.busy || !state.tenant) return;
  put(element("li", { className: "said mine" }, message));
  take({ message }, api.randomId());
  byId("message").focus();
}

function confirm(order) {
  if (state.busy) return;
  put(element("li", { className: "said mine" }, say("picked")));
  take({ confirm: order }, `confirm-${order.order_id}-${order.digest}`);
}

async function restore() {
  state.thread = localStorage.getItem(threadName()) ?? "";
  state.order = null;
  state.submitted = [];
  byId("turns").replaceChildren();
  if (!state.thread) return begin();
  try {
    const view = await api.thread(state.tenant, state.thread);
    const last = view.messages.findLastIndex(({ role }) => role === "agent");
    for (const [place, { role, text }] of view.messages.entries()) {
      if (place === last && view.last) showReply(view.last);
      else if (text) put(element("li", { className: `said ${role === "user" ? "mine" : "theirs"}` }, text));
    }
    if (!view.messages.length) welcome();
    paintOrder();
  } catch (error) {
    if (error.status === 404 || error.status === 422) begin();
    else showFailure(error, restore);
  }
}

function begin() {
  state.thread = "";
  state.order = null;
  state.submitted = [];
  localStorage.removeItem(threadName());
  welcome();
  paintOrder();
}

async function start() {
  let known = [];
  try {
    if (!state.tenant) known = await api.tenants();
  } catch (error) {
    if (error.status === 401 || error.status === 403) return showFailure(error, start);
  }
  if (!known.includes(state.tenant)) {
    if (state.tenant) known = [state.tenant, ...known];
    else state.tenant = known[0] ?? "";
  }
  const options = known.map((tenant) => element("option", { value: tenant, selected: tenant === state.tenant }, tenant));
  byId("tenant").replaceChildren(...(options.length ? options : [element("option", { value: "" }, say("noTenants"))]));
  if (state.tenant) await restore();
  else { welcome(); setTimeout(start, 3000); }
}

function grow() {
  const field = byId("message");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function send() {
  const field = byId("message");
  if (state.busy) return;
  const words = field.value;
  field.value = "";
  grow();
  speak(words);
}

function connect() {
  byId("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  byId("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  byId("message").addEventListener("input", grow);
  byId("tenant").addEventListener("change", () => { state.tenant = byId("tenant").value; restore(); });
  byId("fresh").addEventListener("click", () => { if (!state.busy) { begin(); byId("message").focus(); } });
  byId("language").addEventListener("click", () => { switchLanguage(); showWords(); });
  byId("theme").addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    showTheme();
  });
  byId("order-toggle").addEventListener("click", () => {
    const open = byId("order-toggle").getAttribute("aria-expanded") === "true";
    byId("order-toggle").setAttribute("aria-expanded", String(!open));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    event.preventDefault();
    byId("message").focus();
  });
}

function showTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (dark ? "dark" : "light");
}

showTheme();
showWords();
connect();
start();
