// The page: state, searching as one types, and keeping what is shown up to date.

import * as api from "./api.js";
import { byId, element } from "./dom.js";
import { showExplanation, understood } from "./explain.js";
import { activeCount, filtersFrom, noFilters, showChips, showFacets, showPanel, writeFilters } from "./filters.js";
import { hitElement, showDetail } from "./hits.js";
import { showDown, showLive } from "./live.js";
import { currentLanguage, number, say, switchLanguage } from "./messages.js";
import { showRelated } from "./related.js";

const PAGE = 20;
const MOST = 100;
const DEBOUNCE_MS = 110;
const STATUS_MS = 2000;

const address = new URLSearchParams(location.search);
const state = { tenant: address.get("tenant") ?? "", text: address.get("q") ?? "", filters: filtersFrom(address), limit: PAGE };
let answer = null;
let revisions = new Map();
let running = null;
let lastCommit = null;
let lastStatus = null;
let debounce = 0;
let whyNot = "";

function showWords() {
  document.documentElement.lang = currentLanguage();
  for (const place of document.querySelectorAll("[data-message]")) place.textContent = say(place.dataset.message);
  byId("text").placeholder = say("placeholder");
  showPanel(change);
  byId("more").textContent = say("more");
  byId("language").textContent = currentLanguage() === "es" ? "EN" : "ES";
  byId("language").setAttribute("aria-label", say("language"));
  byId("theme").setAttribute("aria-label", say("theme"));
  byId("filters-toggle").textContent = say("filtersWith", activeCount(state.filters));
  byId("legend").replaceChildren(...["code", "text", "dense"].map((name) => element("li", { "data-retriever": name }, say(name))));
}

function writeAddress() {
  const parameters = new URLSearchParams();
  if (state.tenant) parameters.set("tenant", state.tenant);
  if (state.text) parameters.set("q", state.text);
  writeFilters(state.filters, parameters);
  history.replaceState(null, "", `${location.pathname}${parameters.size ? `?${parameters}` : ""}`);
}

async function search({ quiet = false } = {}) {
  if (!state.tenant) return;
  if (quiet && running) return;
  running?.abort();
  const mine = (running = new AbortController());
  if (!quiet) {
    writeAddress();
    byId("results").classList.add("loading");
    if (!answer) byId("results").replaceChildren(...Array.from({ length: 6 }, () => element("li", { className: "skeleton", "aria-hidden": "true" })));
  }
  try {
    const started = performance.now();
    const found = await api.search({ tenant: state.tenant, text: state.text, filters: state.filters, limit: state.limit, explain: byId("explain").open, why_not: whyNot }, mine.signal);
    show(found, performance.now() - started, quiet);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!quiet) showFailure(error);
  } finally {
    if (running === mine) {
      running = null;
      byId("results").classList.remove("loading");
    }
  }
}

function show(found, milliseconds, quiet) {
  answer = found;
  const title = state.text ? say("results", found.total, found.truncated) : `${say("catalogue")} · ${say("results", found.total, found.truncated)}`;
  byId("summary").replaceChildren(title, element("small", {}, say("took", number(milliseconds, milliseconds < 10 ? 1 : 0))));
  showChips(state.filters, change);
  if (found.facets) showFacets(found.facets, state.filters, found.hits[0]?.item.currency ?? "", change);
  byId("notices").replaceChildren(...understood(found), ...notices(found));
  if (byId("explain").open) {
    showExplanation(found, (sku) => { whyNot = sku; search(); });
  }
  const focused = document.activeElement?.closest?.(".hit") ? [...byId("results").children].indexOf(document.activeElement.closest(".hit")) : -1;
  const seen = revisions;
  revisions = new Map(found.hits.map(({ item }) => [item.sku, item.revision]));
  const rows = found.hits.map((hit) => hitElement(hit, {
    changed: quiet && seen.get(hit.item.sku) !== hit.item.revision, open: openDetail }));
  byId("results").replaceChildren(...(rows.length ? rows : [emptyState()]));
  if (focused >= 0) byId("results").children[focused]?.querySelector("button")?.focus();
  byId("more").hidden = !(found.hits.length < found.total && state.limit < MOST);
}

function notices(found) {
  const made = [];
  if (found.degraded.length) {
    made.push(element("p", { className: "notice" }, say("degraded", found.degraded.map(({ retriever }) => say(retriever)).join(", "))));
  }
  const literal = found.hits.some(({ signals }) => signals.some(({ retriever }) => retriever === "text" || retriever === "code"));
  if (state.text && found.hits.length && !literal && !found.degraded.some(({ retriever }) => retriever === "text")) {
    made.push(element("p", { className: "notice info" }, say("nearOnly")));
  }
  return made;
}

function emptyState() {
  const bare = !state.text && !activeCount(state.filters);
  return element("li", { className: "empty" }, element("strong", {}, say(bare ? "emptyCatalogue" : "emptyTitle")), say(bare ? "emptyCatalogueHelp" : "emptyHelp"));
}

function showFailure(error) {
  if (error.status === 401 || error.status === 403) {
    byId("key").showModal();
    return;
  }
  const words = error instanceof api.Problem ? error.message : say("offline");
  answer = null;
  byId("results").replaceChildren();
  byId("summary").replaceChildren();
  byId("more").hidden = true;
  byId("notices").replaceChildren(element("div", { className: "notice error", role: "alert" },
    element("span", {}, words, error.requestId ? element("span", {}, " ", element("code", {}, error.requestId)) : null),
    element("button", { type: "button", onclick: () => start() }, say("retry"))));
}

async function openDetail(sku) {
  try {
    showDetail(await api.item(state.tenant, sku));
    await showRelated(state.tenant, sku, openDetail);
  } catch (error) {
    showFailure(error);
  }
}

function change(patch) {
  state.filters = { ...state.filters, ...patch };
  state.limit = PAGE;
  search();
}

byId("explain").addEventListener("toggle", () => {
  if (!byId("explain").open) whyNot = "";
  search({ quiet: true });
});

async function start() {
  try {
    const { tenants } = await api.tenants();
    if (!tenants.includes(state.tenant)) state.tenant = tenants[0] ?? "";
    const options = tenants.map((tenant) => element("option", { value: tenant, selected: tenant === state.tenant }, tenant));
    byId("tenant").replaceChildren(...(options.length ? options : [element("option", { value: "" }, say("noTenants"))]));
    byId("notices").replaceChildren();
    if (state.tenant) await search();
    else byId("results").replaceChildren(emptyState());
  } catch (error) {
    showFailure(error);
  }
}

async function poll() {
  if (document.visibilityState === "visible") {
    try {
      const status = await api.status();
      lastStatus = status;
      showLive(status, state.tenant);
      const commit = status.replica?.last_commit_at ?? null;
      const moved = commit !== lastCommit && lastCommit !== null;
      lastCommit = commit;
      if (status.ready && (!answer && !running && (!state.tenant || byId("notices").querySelector(".error")))) start();
      else if (moved && answer && !byId("detail").open) search({ quiet: true });
    } catch (error) {
      lastStatus = null;
      if (error.status !== 401 && error.status !== 403) showDown();
    }
  }
  setTimeout(poll, STATUS_MS);
}

function walk(event) {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    byId("text").focus();
    byId("text").select();
    return;
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const inBox = document.activeElement === byId("text");
  const here = document.activeElement?.closest?.(".hit");
  if (!inBox && !here) return;
  const rows = [...byId("results").querySelectorAll(".hit")];
  const next = (here ? rows.indexOf(here) : -1) + (event.key === "ArrowDown" ? 1 : -1);
  if (next >= rows.length || (inBox && next < 0)) return;
  event.preventDefault();
  if (next < 0) byId("text").focus();
  else rows[next].querySelector("button").focus();
}

function connect() {
  byId("text").value = state.text;
  byId("text").addEventListener("input", () => {
    state.text = byId("text").value;
    state.limit = PAGE;
    clearTimeout(debounce);
    debounce = setTimeout(search, DEBOUNCE_MS);
  });
  byId("search").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(debounce); search(); });
  byId("text").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !byId("text").value) return;
    event.preventDefault();
    byId("text").value = state.text = "";
    search();
  });
  byId("tenant").addEventListener("change", () => { state.tenant = byId("tenant").value; state.filters = noFilters(); state.limit = PAGE; answer = null; if (lastStatus) showLive(lastStatus, state.tenant); search(); });
  byId("more").addEventListener("click", () => { state.limit = Math.min(MOST, state.limit + PAGE); search(); });
  byId("filters-toggle").addEventListener("click", () => {
    const open = byId("filters-toggle").getAttribute("aria-expanded") === "true";
    byId("filters-toggle").setAttribute("aria-expanded", String(!open));
  });
  byId("language").addEventListener("click", () => { switchLanguage(); showWords(); if (lastStatus) showLive(lastStatus, state.tenant); if (answer) show(answer, answer.timings_ms.total, true); });
  byId("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme === "dark";
    localStorage.setItem("theme", dark ? "light" : "dark");
    showTheme();
  });
  byId("key-form").addEventListener("submit", () => { sessionStorage.setItem("key", byId("key-value").value.trim()); start(); });
  byId("detail").addEventListener("click", (event) => { if (event.target === byId("detail")) byId("detail").close(); });
  document.addEventListener("keydown", walk);
}

function showTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (dark ? "dark" : "light");
}

showTheme();
showWords();
connect();
start();
poll();
