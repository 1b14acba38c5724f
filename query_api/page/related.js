// What goes with a product and what is like it, at the foot of its dialog.

import * as api from "./api.js";
import { byId, element } from "./dom.js";
import { money, say } from "./messages.js";

export async function showRelated(tenant, sku, open) {
  const place = byId("related");
  const [complements, similar] = await Promise.all([
    api.complements(tenant, sku).catch(() => ({ items: [] })), api.similar(tenant, sku).catch(() => ({ items: [] }))]);
  if (byId("related") !== place) return; // another product was opened meanwhile
  place.replaceChildren(
    ...list("complements", complements.items, (one) => [one.thing, ...new Set(one.shared.map((both) => (/^[\d#]/.test(both) ? say("sameSize") : both)))].join(" · "), open),
    ...list("similar", similar.items, () => "", open));
}

function list(name, items, why, open) {
  if (!items.length) return [];
  return [
    element("h3", {}, say(name)),
    element("ul", { className: "related", "data-kind": name }, items.map((one) => element("li", {},
      element("button", { type: "button", title: one.reason ?? "", onclick: () => open(one.item.sku) }, one.item.title || one.item.sku),
      element("small", {}, [why(one), one.item.price === null ? "" : money(one.item.price, one.item.currency)].filter(Boolean).join(" · "))))),
  ];
}
