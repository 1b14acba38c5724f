// The live strip: is the worker in service, how fresh is search, how much is in the catalogue.

import { byId, element } from "./dom.js";
import { duration, number, percent, say } from "./messages.js";

const STAGES = ["changed", "logged", "indexed", "committed"];

export function showLive(status, tenant) {
  const figures = [];
  const stage = STAGES.find((name) => status.freshness[`${name}_to_visible_ms`]);
  if (stage) {
    const measured = status.freshness[`${stage}_to_visible_ms`];
    figures.push([duration(measured.p50), say("freshnessFrom")[stage], stagesOf(status.freshness.stages)], [duration(measured.p99), say("p99")]);
  }
  if (status.catalogue) {
    figures.push([number(status.catalogue.by_tenant[tenant] ?? status.catalogue.documents), say("products")]);
    if (status.catalogue.documents) figures.push([percent(status.catalogue.embedding.share), say("embedded")]);
  }
  const lag = status.replica?.lag ?? 0;
  if (lag) figures.push([number(lag), say("lag")]);
  const behind = status.replica?.stale || lag > 1000;
  paint(status.ready ? (behind ? "behind" : "live") : "starting", figures);
}

// Where the time goes: the median of each stage, for whoever points at the figure.
const stagesOf = (stages) => Object.entries(say("stages"))
  .filter(([name]) => stages?.[`${name}_ms`])
  .map(([name, words]) => `${words}: ${duration(stages[`${name}_ms`].p50)}`).join("\n");

export const showDown = () => paint("down", []);

function paint(state, figures) {
  byId("live").dataset.state = state === "starting" ? "behind" : state;
  const words = say(state);
  if (byId("live-state").textContent !== words) byId("live-state").textContent = words;
  byId("live-figures").replaceChildren(...figures.map(([value, name, title = ""]) =>
    element("div", { title }, element("dt", {}, name), element("dd", {}, value))));
}
