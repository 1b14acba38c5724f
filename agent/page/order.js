// The order beside the conversation: lines with what changed, the total, and the one button that submits.

import { byId, element } from "./dom.js";
import { money, number, say } from "./messages.js";

export function showOrder(order, submitted, { confirm, speak, busy }) {
  const open = order && order.status === "awaiting_confirmation" && order.lines.length > 0;
  const shown = open ? order.lines : [];
  byId("order-summary").textContent = say("summary", shown.length, open ? money(order.total, order.currency) : "");
  const content = [];
  if (submitted.length) {
    content.push(element("p", { className: "done" }, `✓ ${say("submitted")} `, element("code", {}, submitted.at(-1))));
  }
  if (!open) {
    if (!submitted.length) content.push(element("p", { className: "none" }, say("empty")));
    byId("order-content").replaceChildren(...content);
    return;
  }
  content.push(
    element("ol", { className: "lines" }, shown.map((line) => lineElement(line, order.currency, speak))),
    element("div", { className: "total" }, element("span", {}, say("total")),
      element("span", { className: "amount" }, money(order.total, order.currency))),
    order.unpriced ? element("p", { className: "unpriced" }, say("unpriced", order.unpriced)) : "",
    element("button", { id: "confirm", className: "primary confirm", type: "button", disabled: busy,
      onclick: () => confirm({ order_id: order.order_id, digest: order.digest }) }, say(busy ? "confirming" : "confirm")));
  byId("order-content").replaceChildren(...content);
}

/** `25 piezas`, `1 pieza`; an abbreviation stays as the shop writes it. */
function inNumber(unit, quantity) {
  if (Number(quantity) === 1 || !/^(?:pie|unidad|\p{L}{3,}[aeiou])$/iu.test(unit)) return unit;
  const ending = /d$/i.test(unit) ? "es" : "s";
  return unit + (unit === unit.toUpperCase() ? ending.toUpperCase() : ending);
}

function lineElement(line, currency, speak) {
  const price = line.price === null ? "" : ` × ${money(line.price, currency)}`;
  return element("li", { "data-sku": line.sku },
    element("span", { className: "title" }, line.title || line.sku),
    element("span", { className: "sum" }, line.amount === null ? "—" : money(line.amount, currency)),
    element("span", { className: "much" }, `${number(line.quantity)} ${inNumber(line.unit, line.quantity)}${line.pack ? ` (${line.pack})` : ""}${price}`),
    element("button", { className: "away", type: "button", "aria-label": `${say("remove")}: ${line.title || line.sku}`,
      onclick: () => speak(say("removeSay", line.sku)) }, say("remove")),
    line.notices.map((notice) => {
      const words = say(notice, line.price_shown === null ? "" : money(line.price_shown, currency), line.stock === null ? "" : number(line.stock));
      return words ? element("span", { className: notice === "out_of_stock" || notice === "short_stock" ? "told bad" : "told" }, words) : null;
    }));
}
