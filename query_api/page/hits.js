// One hit of the list, and the dialog with all that is known of a product.

import { byId, element } from "./dom.js";
import { FIELDS } from "./fields.js";
import { duration, label, moment, money, number, percent, say } from "./messages.js";

const FRESH_MS = 90_000;
const LOW_STOCK = 5;

export function hitElement(hit, { changed, open }) {
  const { item } = hit;
  return element("li", { className: changed ? "hit changed" : "hit" },
    thumbnail(item),
    element("div", {},
      element("h3", {}, element("button", { type: "button", onclick: () => open(item.sku) }, item.title || item.sku)),
      element("p", { className: "meta" },
        item.brand ? element("b", {}, item.brand) : null,
        element("code", {}, item.sku),
        item.part_number && item.part_number !== item.sku ? element("code", {}, item.part_number) : null,
        item.category ? element("span", {}, item.category) : null,
        freshness(item))),
    signals(hit.signals, hit.rerank),
    element("div", { className: "sale" },
      element("div", { className: "amount" }, item.price === null ? say("noPrice") : money(item.price, item.currency)),
      item.unit ? element("div", { className: "unit" }, say("per", item.unit)) : null,
      stock(item)));
}

function thumbnail(item) {
  const initials = (item.brand || item.title || item.sku).slice(0, 2).toUpperCase();
  const box = element("div", { className: "thumb", "aria-hidden": "true" }, initials);
  const source = item.images.find((address) => address.startsWith("https://"));
  if (source) {
    const image = element("img", { alt: "", referrerpolicy: "no-referrer" });
    image.addEventListener("load", () => box.replaceChildren(image));
    image.src = source;
  }
  return box;
}

function freshness(item) {
  const at = item.changed_at ?? item.indexed_at;
  const age = at ? Date.now() - Date.parse(at) : Infinity;
  return age >= 0 && age < FRESH_MS ? element("span", { className: "fresh" }, say("updated", duration(Math.max(1000, age)))) : null;
}

function signals(found, rerank) {
  if (found[0]?.retriever === "list") return element("div", { className: "why" });
  const words = found.map((signal) => say("why", say(signal.retriever), signal.rank, percent(signal.share)));
  const moved = rerank && rerank.before !== rerank.after ? say("moved", rerank.before, rerank.after) : "";
  if (moved) words.push(moved);
  const bar = element("div", { className: "stack", role: "img", "aria-label": words.join("; ") },
    found.map((signal) => {
      const part = element("i", { "data-retriever": signal.retriever });
      part.style.flex = String(Math.max(signal.share, 0.02));
      return part;
    }));
  const list = element("ul", { "aria-hidden": "true" }, found.map((signal) =>
    element("li", { "data-retriever": signal.retriever, title: `${number(signal.raw_score, 3)}` },
      element("b", {}, say(signal.retriever)), ` #${signal.rank} · ${percent(signal.share)}`)));
  if (moved) list.append(element("li", {}, moved));
  return element("div", { className: "why" }, bar, list);
}

export function stock(item) {
  if (item.stock === null) return element("span", { className: "stock unknown" }, say("stockUnknown"));
  if (!item.in_stock) return element("span", { className: "stock none" }, say("outOfStock"));
  if (item.stock <= LOW_STOCK) return element("span", { className: "stock low" }, say("lowStock", number(item.stock, 2)));
  return element("span", { className: "stock" }, say("units", number(item.stock, 2)));
}

const written = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "number" ? number(value, 3) : value);

export function showDetail(item) {
  const dialog = byId("detail");
  const rows = [
    [say("sku"), item.sku],
    ...FIELDS.filter(({ plain }) => plain).map((field) => [label(field), written(item[field.name])]),
    ...Object.entries(item.attributes).map(([name, value]) => [name, String(value)]),
    ...Object.entries(item.prices).map(([name, value]) => [`${say("prices")}: ${name}`, money(value, item.currency)]),
    ...Object.entries(item.stocks).map(([name, value]) => [`${say("stocks")}: ${name}`, number(value, 2)]),
    [say("changedAt"), item.changed_at ? moment(item.changed_at) : ""],
    [say("indexedAt"), item.indexed_at ? moment(item.indexed_at) : ""], [say("revision"), String(item.revision)],
  ].filter(([, value]) => value);
  dialog.replaceChildren(
    element("header", {}, element("h2", { id: "detail-title" }, item.title || item.sku),
      element("button", { className: "close", type: "button", "aria-label": say("close"), onclick: () => dialog.close() }, "×")),
    element("div", { className: "body" },
      element("div", { className: "headline" },
        element("span", { className: "amount" }, item.price === null ? say("noPrice") : money(item.price, item.currency)),
        item.unit ? element("span", { className: "unit" }, say("per", item.unit)) : null, stock(item)),
      item.description ? element("p", {}, item.description) : null,
      item.bullets.length ? element("ul", {}, item.bullets.map((bullet) => element("li", {}, bullet))) : null,
      element("table", {}, element("tbody", {}, rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))))),
      element("div", { id: "related" })));
  if (!dialog.open) dialog.showModal();
}
