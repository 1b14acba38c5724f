// The filters as a value, in the address bar and in the side panel: what there is to filter by, the table of catalogue fields says.

import { byId, element } from "./dom.js";
import { FIELDS } from "./fields.js";
import { label, money, number, say } from "./messages.js";

const SHORT = 8;
const [LISTS, RANGES, FLAGS] = ["any_of", "range", "flag"].map((kind) => FIELDS.filter(({ filter }) => filter === kind));
const NOTHING = { any_of: () => [], range: () => null, flag: () => false };

const each = (read) =>
  Object.fromEntries(FIELDS.filter(({ filter }) => filter).flatMap((field) => field.parameters.map((name) => [name, read(field, name)])));

export const noFilters = () => each(({ filter }) => NOTHING[filter]());

export function filtersFrom(parameters) {
  const bound = (text) => (text && Number.isFinite(Number(text)) ? Number(text) : null);
  return each(({ filter }, name) => (filter === "any_of" ? parameters.getAll(name) : filter === "flag" ? parameters.get(name) === "true" : bound(parameters.get(name))));
}

export function writeFilters(filters, parameters) {
  for (const [name, value] of Object.entries(filters)) {
    if (Array.isArray(value)) for (const one of value) parameters.append(name, one);
    else if (value !== null && value !== false) parameters.set(name, value);
  }
}

const isBounded = (filters, { parameters }) => parameters.some((name) => filters[name] !== null);

export const activeCount = (filters) =>
  LISTS.reduce((count, { key }) => count + filters[key].length, 0) + RANGES.filter((field) => isBounded(filters, field)).length
  + FLAGS.filter(({ key }) => filters[key]).length;

export function showChips(filters, change) {
  const chips = [];
  for (const { key } of LISTS) for (const value of filters[key]) chips.push([value, { [key]: without(filters[key], value) }]);
  for (const field of RANGES.filter((one) => isBounded(filters, one))) {
    const [low, high] = field.parameters.map((name) => (filters[name] === null ? "" : number(filters[name], 2)));
    const name = RANGES.length > 1 ? `${label(field)}: ` : "";
    chips.push([name + (high && low ? `${low} – ${high}` : low ? `≥ ${low}` : `≤ ${high}`), Object.fromEntries(field.parameters.map((one) => [one, null]))]);
  }
  for (const field of FLAGS) if (filters[field.key]) chips.push([label(field), { [field.key]: false }]);
  const buttons = chips.map(([words, patch]) => element("button", { type: "button", onclick: () => change(patch) }, words));
  if (chips.length > 1) buttons.push(element("button", { type: "button", className: "clear", onclick: () => change(noFilters()) }, say("clear")));
  byId("chips").replaceChildren(...buttons);
}

// The panel in the language of now, without an answer's counts.
export function showPanel(change) {
  byId("fields").replaceChildren(
    ...FLAGS.map((field) => element("label", { className: "switch" },
      element("input", { id: field.key, type: "checkbox", onchange: (event) => change({ [field.key]: event.target.checked }) }),
      element("span", { className: "track", "aria-hidden": "true" }),
      element("span", {}, label(field)), element("span", { className: "count", id: `${field.key}-count` }))),
    ...RANGES.map((field) => element("fieldset", {}, element("legend", {}, label(field)),
      element("div", { className: "price" }, field.parameters.map((name, place) => bound(field, name, say(place ? "to" : "from"), change))),
      element("div", { id: `${field.key}-buckets`, className: "buckets" }))),
    ...LISTS.map(({ key, ...field }) => element("fieldset", { id: `${key}-set`, hidden: true }, element("legend", {}, label(field)),
      element("div", { id: `${key}-values`, className: "values" }))));
}

function bound(field, name, placeholder, change) {
  const written = (text) => (text === "" || Number(text) < field.lowest ? null : Number(text));
  return element("input", { id: name, type: "number", inputmode: "decimal", min: String(field.lowest), step: "any", placeholder,
    "aria-label": `${label(field)}: ${placeholder}`, onchange: (event) => change({ [name]: written(event.target.value) }) });
}

export function showFacets(facets, filters, currency, change) {
  byId("filters-toggle").textContent = say("filtersWith", activeCount(filters));
  for (const { key, facets: [having] } of FLAGS) {
    byId(key).checked = filters[key];
    byId(`${key}-count`).textContent = facets[having] ? number(facets[having]) : "";
  }
  for (const field of RANGES) {
    for (const name of field.parameters) if (document.activeElement !== byId(name)) byId(name).value = filters[name] ?? "";
    byId(`${field.key}-buckets`).replaceChildren(...facets[field.facets[0]].map((bucket) => rangeButton(field, bucket, filters, currency, change)));
  }
  for (const { key, facets: [counted] } of LISTS) showValues(key, facets[counted], filters[key], (values) => change({ [key]: values }));
}

function rangeButton({ key, parameters: [from, to] }, bucket, filters, currency, change) {
  // A range is [low, high) and the filter includes its bounds: stop one cent short.
  const high = bucket.high === null ? null : Math.max(bucket.low, Math.round((bucket.high - 0.01) * 100) / 100);
  const pressed = filters[from] === bucket.low && filters[to] === high;
  const written = (value) => (key === "price" ? money(value, currency) : number(value, 2));
  return element("button", { type: "button", "aria-pressed": String(pressed),
    onclick: () => change(pressed ? { [from]: null, [to]: null } : { [from]: bucket.low, [to]: high }) },
    bucket.high === null ? `${written(bucket.low)} +` : `${written(bucket.low)} – ${written(bucket.high)}`, element("span", { className: "count" }, number(bucket.count)));
}

function showValues(key, counts, selected, choose) {
  const box = byId(`${key}-values`);
  const folded = new Set(counts.map(({ value }) => value.toLowerCase()));
  const gone = selected.filter((value) => !folded.has(value.toLowerCase())).map((value) => ({ value, count: 0 }));
  const values = [...gone, ...counts];
  const isSelected = (value) => selected.some((one) => one.toLowerCase() === value.toLowerCase());
  const all = box.dataset.all === "true" || values.length <= SHORT + 2;
  const shown = all ? values : values.filter(({ value }, place) => place < SHORT || isSelected(value));
  const focused = box.contains(document.activeElement) ? document.activeElement.value : null;
  box.replaceChildren(...shown.map(({ value, count }) => element("label", {},
    checkbox(value, isSelected(value), () => choose(isSelected(value) ? selected.filter((one) => one.toLowerCase() !== value.toLowerCase()) : [...selected, value])),
    element("span", {}, value), element("span", { className: "count" }, number(count)))));
  if (!all) {
    box.append(element("button", { type: "button", onclick: () => { box.dataset.all = "true"; showValues(key, counts, selected, choose); } }, say("allValues", values.length)));
  }
  byId(`${key}-set`).hidden = !values.length;
  if (focused !== null) [...box.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
}

function checkbox(value, checked, onchange) {
  const box = element("input", { type: "checkbox", value, onchange });
  box.checked = checked;
  return box;
}

const without = (values, value) => values.filter((one) => one !== value);
