// The filters as a value, in the address bar and in the side panel.

import { byId, element } from "./dom.js";
import { money, number, say } from "./messages.js";

const SHORT = 8;

export const noFilters = () => ({ brand: [], category: [], price_min: null, price_max: null, in_stock: false });

export function filtersFrom(parameters) {
  const price = (name) => (parameters.get(name) && Number.isFinite(Number(parameters.get(name))) ? Number(parameters.get(name)) : null);
  return { brand: parameters.getAll("brand"), category: parameters.getAll("category"), price_min: price("price_min"),
    price_max: price("price_max"), in_stock: parameters.get("in_stock") === "true" };
}

export function writeFilters(filters, parameters) {
  for (const name of ["brand", "category"]) for (const value of filters[name]) parameters.append(name, value);
  for (const name of ["price_min", "price_max"]) if (filters[name] !== null) parameters.set(name, filters[name]);
  if (filters.in_stock) parameters.set("in_stock", "true");
}

export const activeCount = (filters) =>
  filters.brand.length + filters.category.length + (filters.price_min !== null || filters.price_max !== null) + filters.in_stock;

export function showChips(filters, change) {
  const chips = [];
  for (const name of ["brand", "category"]) for (const value of filters[name]) chips.push([value, { [name]: without(filters[name], value) }]);
  if (filters.price_min !== null || filters.price_max !== null) {
    const low = filters.price_min === null ? "" : number(filters.price_min, 2);
    const high = filters.price_max === null ? "" : number(filters.price_max, 2);
    chips.push([high && low ? `${low} – ${high}` : low ? `≥ ${low}` : `≤ ${high}`, { price_min: null, price_max: null }]);
  }
  if (filters.in_stock) chips.push([say("onlyInStock"), { in_stock: false }]);
  const buttons = chips.map(([label, patch]) => element("button", { type: "button", onclick: () => change(patch) }, label));
  if (chips.length > 1) buttons.push(element("button", { type: "button", className: "clear", onclick: () => change(noFilters()) }, say("clear")));
  byId("chips").replaceChildren(...buttons);
}

export function showFacets(facets, filters, currency, change) {
  byId("filters-toggle").textContent = say("filtersWith", activeCount(filters));
  byId("in-stock").checked = filters.in_stock;
  byId("in-stock-count").textContent = facets.in_stock ? number(facets.in_stock) : "";
  for (const name of ["price_min", "price_max"]) {
    const input = byId(name.replace("_", "-"));
    if (document.activeElement !== input) input.value = filters[name] ?? "";
  }
  showValues("brands", "brand-set", facets.brands, filters.brand, (values) => change({ brand: values }));
  showValues("categories", "category-set", facets.categories, filters.category, (values) => change({ category: values }));
  byId("price-buckets").replaceChildren(...facets.prices.map((bucket) => {
    // A range is [low, high) and the filter includes its bounds: stop one cent short.
    const high = bucket.high === null ? null : Math.max(bucket.low, Math.round((bucket.high - 0.01) * 100) / 100);
    const pressed = filters.price_min === bucket.low && filters.price_max === high;
    const label = bucket.high === null ? `${money(bucket.low, currency)} +` : `${money(bucket.low, currency)} – ${money(bucket.high, currency)}`;
    return element("button", { type: "button", "aria-pressed": String(pressed),
      onclick: () => change(pressed ? { price_min: null, price_max: null } : { price_min: bucket.low, price_max: high }) },
      label, element("span", { className: "count" }, number(bucket.count)));
  }));
}

function showValues(listId, setId, counts, selected, choose) {
  const box = byId(listId);
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
    box.append(element("button", { type: "button", onclick: () => { box.dataset.all = "true"; showValues(listId, setId, counts, selected, choose); } }, say("allValues", values.length)));
  }
  byId(setId).hidden = !values.length;
  if (focused !== null) [...box.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
}

function checkbox(value, checked, onchange) {
  const box = element("input", { type: "checkbox", value, onchange });
  box.checked = checked;
  return box;
}

const without = (values, value) => values.filter((one) => one !== value);
