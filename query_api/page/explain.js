// Why these results: what was understood, every retriever's list, and what became of one product.

import { byId, element } from "./dom.js";
import { number, say } from "./messages.js";

const list = (names) => (names.length ? `: ${names.join(", ")}` : "");

export function understood(found) {
  const made = [];
  if (found.did_you_mean) made.push(element("p", { className: "notice info" }, say("didYouMean", found.did_you_mean)));
  if (found.quantity) made.push(element("p", { className: "notice info" }, say("quantity", `${found.quantity.count} ${found.quantity.package}`.trim())));
  if (found.low_confidence && found.hits.length) made.push(element("p", { className: "notice" }, say("lowConfidence")));
  return made;
}

export function showExplanation(found, ask) {
  const told = found.explanation;
  const rows = told ? [
    [say("queryType"), told.type], [say("searched"), told.searched], [say("route"), `${told.route}: ${told.route_reason}`],
    [say("tokens"), told.tokens.map((token) => token.text).join(" · ")],
    ...told.aliases.map((alias) => [say("alias"), `${alias.typed} → ${alias.targets.join(", ")} (${alias.entries.join(", ")})`]),
    ...told.corrections.map((fix) => [say("correction"), `${fix.written} → ${fix.meant}`]),
    [say("unknownWords"), told.unknown.join(", ")], [say("excludedWords"), told.excluded.join(", ")],
    [say("denseTexts"), told.dense_texts.join(" + ")], [say("fusion"), told.fusion], [say("doubt"), found.low_confidence],
    ...told.retrievers.map((one) => [say(one.retriever), `${one.found} · ${number(one.milliseconds, 1)} ms · × ${number(one.weight, 2)}${list(one.hits.slice(0, 5).map((hit) => `${hit.sku} (${number(hit.raw_score, 3)})`))}`]),
    ...(told.rerank ? [[say("reranker"), `${say("rerankedOf", found.reranked.scored, found.reranked.of)} · ${number(told.rerank.milliseconds, 1)} ms · ${told.rerank.model}${list(told.rerank.moves.filter((one) => one.before !== one.after).slice(0, 10).map((one) => `${one.sku} ${one.before} → ${one.after}`))}`]] : []),
    ...Object.entries(found.timings_ms).map(([stage, took]) => [stage, `${number(took, 2)} ms`]),
  ].filter(([, value]) => value) : [];
  byId("explanation").replaceChildren(element("div", {},
    element("form", { className: "why-not", onsubmit: (event) => { event.preventDefault(); ask(byId("why-not").value.trim()); } },
      element("label", { for: "why-not" }, say("whyNot")),
      element("input", { id: "why-not", type: "text", maxlength: "256", autocomplete: "off", value: found.why_not?.sku ?? "" }),
      element("button", { type: "submit" }, say("ask"))),
    found.why_not ? element("p", { className: "notice info" }, element("code", {}, found.why_not.sku), ` ${say("verdicts")[found.why_not.verdict] ?? found.why_not.verdict} `, element("small", { lang: "en" }, found.why_not.reason),
      ...Object.entries(found.why_not.ranks).map(([name, rank]) => ` · ${say(name)} #${rank}`)) : null,
    element("table", {}, element("tbody", {}, rows.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)))))));
}
