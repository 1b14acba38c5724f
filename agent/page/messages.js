// The page's words in Spanish, English and Portuguese, and the formats that go with them.

const MESSAGES = {
  es: {
    skip: "Ir al mensaje", tenantLabel: "Catálogo", fresh: "Nuevo", freshLabel: "Empezar otra conversación", talkTitle: "Conversación",
    messageLabel: "Mensaje", placeholder: "Qué necesita y cuánto…", send: "Enviar", keys: "Intro envía, Mayúsculas e Intro hace un renglón nuevo",
    language: "Cambiar de idioma", theme: "Cambiar entre claro y oscuro", order: "Pedido", empty: "Todavía no hay nada en el pedido.",
    summary: (lines, total) => (lines ? `Pedido: ${lines} ${lines === 1 ? "renglón" : "renglones"} · ${total}` : "Pedido vacío"), total: "Total",
    confirm: "Confirmar pedido", confirming: "Confirmando…", submitted: "Pedido confirmado", unpriced: (n) => `${n} sin precio, fuera del total`,
    price_up: (was) => `El precio subió; se mostró ${was}`, price_down: (was) => `El precio bajó; se mostró ${was}`, price_unknown: () => "Precio a consultar",
    short_stock: (_, stock) => `Solo hay ${stock}`, out_of_stock: () => "Sin existencias", remove: "Quitar", removeSay: (sku) => `quita ${sku}`,
    add: "Agregar", addSay: (n, sku) => `agrega ${n} de ${sku}`, quantity: (title) => `Cantidad de ${title}`, addLabel: (title) => `Agregar ${title} al pedido`,
    noPrice: "Consultar precio", per: (unit) => `por ${unit}`, inStock: (n) => `${n} en existencia`, outOfStock: "Sin existencias", stockUnknown: "Consultar existencias", weak: "alternativa",
    reasons: { text: "texto", dense: "significado", code: "código", sparse: "palabras aprendidas", redirect: "recomendado", cheapest: "el más barato", dearest: "el más caro", largest: "el más grande", smallest: "el más chico" },
    welcome: "¿Qué le mandamos?", welcomeHelp: "Escriba como le sale: productos, medidas, cantidades. Nada se pide sin que usted lo confirme.",
    examples: ["20 codos de PVC de 1/2", "cinta aislante negra", "tornillo hexagonal 1/4"],
    thinking: "Leyendo…", planner: "Pensando…", catalog_search: "Buscando en el catálogo…", follow_up_resolve: "Viendo a cuál se refiere…", order_tool: "Anotando en el pedido…",
    failed: "No se pudo enviar.", retry: "Reintentar", gone: "La conversación anterior ya no está.", degraded: "Respondió el lector de reglas", low: "No estoy seguro de esto",
    keyTitle: "Este catálogo pide una clave", keyHelp: "Se guarda solo en esta pestaña.", keyLabel: "Clave", keySubmit: "Entrar", noTenants: "Sin catálogos", picked: "Confirmo el pedido",
  },
  en: {
    skip: "Go to the message", tenantLabel: "Catalogue", fresh: "New", freshLabel: "Begin another conversation", talkTitle: "Conversation",
    messageLabel: "Message", placeholder: "What you need, and how much…", send: "Send", keys: "Enter sends, Shift and Enter begins a line",
    language: "Change the language", theme: "Switch between light and dark", order: "Order", empty: "There is nothing in the order yet.",
    summary: (lines, total) => (lines ? `Order: ${lines} ${lines === 1 ? "line" : "lines"} · ${total}` : "Empty order"), total: "Total",
    confirm: "Confirm order", confirming: "Confirming…", submitted: "Order confirmed", unpriced: (n) => `${n} without a price, not in the total`,
    price_up: (was) => `The price went up; you saw ${was}`, price_down: (was) => `The price went down; you saw ${was}`, price_unknown: () => "Price on request",
    short_stock: (_, stock) => `Only ${stock} on hand`, out_of_stock: () => "Out of stock", remove: "Remove", removeSay: (sku) => `remove ${sku}`,
    add: "Add", addSay: (n, sku) => `add ${n} of ${sku}`, quantity: (title) => `Quantity of ${title}`, addLabel: (title) => `Add ${title} to the order`,
    noPrice: "Price on request", per: (unit) => `per ${unit}`, inStock: (n) => `${n} on hand`, outOfStock: "Out of stock", stockUnknown: "Ask for stock", weak: "alternative",
    reasons: { dense: "meaning", sparse: "learned words", redirect: "recommended", cheapest: "the cheapest", dearest: "the dearest", largest: "the largest", smallest: "the smallest" },
    welcome: "What shall we send you?", welcomeHelp: "Write as you would say it: products, sizes, quantities. Nothing is ordered before you confirm it.",
    examples: ["20 pvc elbows 1/2", "black insulating tape", "hex bolt 1/4"],
    thinking: "Reading…", planner: "Thinking…", catalog_search: "Searching the catalogue…", follow_up_resolve: "Seeing which one you mean…", order_tool: "Writing it into the order…",
    failed: "It could not be sent.", retry: "Try again", gone: "The conversation before is no longer there.", degraded: "Answered by the reader of rules", low: "I am not sure about this",
    keyTitle: "This catalogue asks for a key", keyHelp: "It is kept in this tab only.", keyLabel: "Key", keySubmit: "Enter", noTenants: "No catalogues", picked: "I confirm the order",
  },
  pt: {
    skip: "Ir para a mensagem", tenantLabel: "Catálogo", fresh: "Novo", freshLabel: "Começar outra conversa", talkTitle: "Conversa",
    messageLabel: "Mensagem", placeholder: "O que precisa e quanto…", send: "Enviar", keys: "Enter envia, Shift e Enter começa uma linha",
    language: "Mudar de idioma", theme: "Alternar claro e escuro", order: "Pedido", empty: "Ainda não há nada no pedido.",
    summary: (lines, total) => (lines ? `Pedido: ${lines} ${lines === 1 ? "linha" : "linhas"} · ${total}` : "Pedido vazio"), total: "Total",
    confirm: "Confirmar pedido", confirming: "Confirmando…", submitted: "Pedido confirmado", unpriced: (n) => `${n} sem preço, fora do total`,
    price_up: (was) => `O preço subiu; foi mostrado ${was}`, price_down: (was) => `O preço baixou; foi mostrado ${was}`, price_unknown: () => "Preço a consultar",
    short_stock: (_, stock) => `Só há ${stock}`, out_of_stock: () => "Sem estoque", remove: "Tirar", removeSay: (sku) => `tira ${sku}`,
    add: "Adicionar", addSay: (n, sku) => `adiciona ${n} de ${sku}`, quantity: (title) => `Quantidade de ${title}`, addLabel: (title) => `Adicionar ${title} ao pedido`,
    noPrice: "Consultar preço", per: (unit) => `por ${unit}`, inStock: (n) => `${n} em estoque`, outOfStock: "Sem estoque", stockUnknown: "Consultar estoque", weak: "alternativa",
    reasons: { text: "texto", dense: "significado", code: "código", sparse: "palavras aprendidas", redirect: "recomendado", cheapest: "o mais barato", dearest: "o mais caro", largest: "o maior", smallest: "o menor" },
    welcome: "O que vamos enviar?", welcomeHelp: "Escreva como fala: produtos, medidas, quantidades. Nada é pedido antes da sua confirmação.",
    examples: ["20 joelhos de PVC 1/2", "fita isolante preta", "parafuso sextavado 1/4"],
    thinking: "Lendo…", planner: "Pensando…", catalog_search: "Procurando no catálogo…", follow_up_resolve: "Vendo a qual se refere…", order_tool: "Anotando no pedido…",
    failed: "Não foi possível enviar.", retry: "Tentar de novo", gone: "A conversa anterior já não está.", degraded: "Respondeu o leitor de regras", low: "Não tenho certeza disto",
    keyTitle: "Este catálogo pede uma chave", keyHelp: "Fica só nesta aba.", keyLabel: "Chave", keySubmit: "Entrar", noTenants: "Sem catálogos", picked: "Confirmo o pedido",
  },
};

const ORDER = ["es", "en", "pt"];
let language = localStorage.getItem("language") ?? ORDER.find((one) => navigator.language.startsWith(one)) ?? "es";
if (!ORDER.includes(language)) language = "es";

export const currentLanguage = () => language;
export const nextLanguage = () => ORDER[(ORDER.indexOf(language) + 1) % ORDER.length];

export function switchLanguage() {
  language = nextLanguage();
  localStorage.setItem("language", language);
}

export function say(name, ...values) {
  const message = MESSAGES[language][name];
  return typeof message === "function" ? message(...values) : message;
}

// The country's own way to write numbers, where the browser says which country of that language; else Latin America's.
const COUNTRYLESS = { es: "es-419", pt: "pt-BR" };
const locale = () => navigator.languages.find((one) => one.toLowerCase().startsWith(`${language}-`)) ?? COUNTRYLESS[language] ?? language;

// What a card says of why it is there: the reasons that a person understands, in their words; the resolver's own are left out.
const INTERNAL = new Set(["search", "focus", "rank", "only", "cards", "comparison", "not comparable"]);
export const reasons = (matched) => matched.filter((one) => !INTERNAL.has(one) && !one.endsWith(" than")).map((one) => MESSAGES[language].reasons[one] ?? one);

// Amounts come as decimal text; only for the eye do they become numbers.
export const number = (text, digits = 6) => Number(text).toLocaleString(locale(), { maximumFractionDigits: digits });

export function money(text, currency) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, (text.split(".")[1] ?? "").length) };
  try {
    return Number(text).toLocaleString(locale(), currency ? { style: "currency", currency, ...digits } : digits);
  } catch {
    return `${Number(text).toLocaleString(locale(), digits)} ${currency}`;
  }
}
