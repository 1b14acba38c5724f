// Products in an answer: what each is, why it is there, and adding it without typing.

import { element } from "./dom.js";
import { money, number, reasons, say } from "./messages.js";

export function cardList(cards, speak) {
  return element("ol", { className: "cards" }, cards.map((card) => cardElement(card, speak)));
}

function cardElement(card, speak) {
  const why = reasons(card.matched);
  return element("li", { className: "card", "data-sku": card.sku },
    element("span", { className: "rank" }, String(card.rank)),
    thumbnail(card),
    element("div", { className: "what" },
      element("h3", {}, card.title || card.sku),
      element("p", { className: "meta" },
        card.brand ? element("b", {}, card.brand) : null,
        element("code", {}, card.sku),
        card.weak ? element("span", { className: "weak" }, say("weak")) : null,
        why.length ? element("span", {}, why.slice(0, 4).join(" · ")) : null)),
    element("div", { className: "sale" },
      element("div", { className: "amount" }, card.price === null ? say("noPrice") : money(card.price, card.currency)),
      card.unit ? element("div", { className: "unit" }, say("per", card.unit)) : null,
      stock(card)),
    adding(card, speak));
}

function adding(card, speak) {
  const quantity = element("input", { type: "number", min: "0", step: "any", value: "1", inputmode: "decimal", "aria-label": say("quantity", card.title) });
  return element("form", { className: "add", onsubmit: (event) => {
    event.preventDefault();
    if (Number(quantity.value) > 0) speak(say("addSay", quantity.value, card.sku));
  } }, quantity, element("button", { type: "submit", "aria-label": say("addLabel", card.title) }, say("add")));
}

function thumbnail(card) {
  const initials = (card.brand || card.title || card.sku).slice(0, 2).toUpperCase();
  const box = element("div", { className: "thumb", "aria-hidden": "true" }, initials);
  if (card.image.startsWith("https://")) {
    const image = element("img", { alt: "", referrerpolicy: "no-referrer" });
    image.addEventListener("load", () => box.replaceChildren(image));
    image.src = card.image;
  }
  return box;
}

function stock(card) {
  if (card.stock === null) return element("span", { className: "stock unknown" }, say("stockUnknown"));
  if (Number(card.stock) <= 0) return element("span", { className: "stock none" }, say("outOfStock"));
  return element("span", { className: "stock" }, say("inStock", number(card.stock, 2)));
}
