// The page's words in Spanish and English, and the formats that go with them.

const MESSAGES = {
  es: {
    explain: "Por qué estos resultados", didYouMean: (text) => `Se buscó: ${text}`, quantity: (text) => `Cantidad pedida: ${text}`, lowConfidence: "Es probable que este catálogo no tenga lo que busca.",
    queryType: "Tipo", searched: "Se buscó", route: "Camino", tokens: "Términos", alias: "Alias", correction: "Corrección", unknownWords: "Palabras desconocidas", excludedWords: "Se descarta", denseTexts: "Por significado", fusion: "Fusión",
    doubt: "Duda", verdicts: { shown: "Está en esta página.", on_another_page: "Está en otra página.", not_indexed: "No está en el índice.", deleted: "Se dio de baja.", filtered: "Un filtro lo quita.", excluded: "La búsqueda lo descarta.", not_retrieved: "Ninguna búsqueda lo encontró.", gone_meanwhile: "Cambió mientras se buscaba." },
    redirect: "destacado", reranker: "reordenado", rerankedOf: (read, all) => `${read} de ${all} leídos`, moved: (before, after) => `reordenado: ${before} → ${after}`, whyNot: "¿Por qué no aparece este SKU?", ask: "Averiguar",
    skip: "Ir a los resultados", searchLabel: "Buscar productos", placeholder: "Producto, medida, marca o código…",
    tenantLabel: "Catálogo", keys: "Barra para buscar, flechas para recorrer los resultados, Escape para borrar",
    filters: "Filtros", filtersWith: (n) => (n ? `Filtros (${n})` : "Filtros"),
    from: "desde", to: "hasta",
    facetNote: "Los recuentos cubren los candidatos de esta búsqueda.",
    more: "Mostrar más", allValues: (n) => `Ver las ${n}`, language: "Cambiar idioma a inglés", theme: "Cambiar entre claro y oscuro",
    results: (n, more) => `${n}${more ? "+" : ""} ${n === 1 ? "resultado" : "resultados"}`, catalogue: "Catálogo", took: (ms) => `en ${ms} ms`,
    inStock: "En existencia", lowStock: (n) => `Quedan ${n}`, outOfStock: "Sin existencias", stockUnknown: "Consultar existencias", units: (n) => `${n} en existencia`,
    noPrice: "Consultar precio", per: (unit) => `por ${unit}`, code: "código", text: "texto", dense: "significado", sparse: "palabras aprendidas", list: "catálogo",
    why: (name, rank, share) => `${name}: puesto ${rank}, aporta el ${share}`, updated: (age) => `actualizado hace ${age}`,
    emptyTitle: "Nada con eso", emptyHelp: "Pruebe con menos palabras, otra medida o sin filtros.", clear: "Quitar todo",
    emptyCatalogue: "Este catálogo todavía no tiene productos", emptyCatalogueHelp: "En cuanto llegue un cambio del almacén, aparecerá aquí.",
    nearOnly: "Ningún producto contiene esas palabras. Estos son los más cercanos por significado.",
    degraded: (names) => `Respuesta parcial: no respondió la búsqueda por ${names}.`, retry: "Reintentar", offline: "No hay conexión con el servidor.",
    live: "En vivo", behind: "Poniéndose al día", down: "Sin servicio", starting: "Arrancando",
    freshness: "del almacén a la búsqueda", freshnessFrom: { changed: "del almacén a la búsqueda", logged: "del registro a la búsqueda", indexed: "del índice a la búsqueda", committed: "de la réplica a la búsqueda" },
    stages: { log: "hasta el registro", index: "hasta el índice", commit: "hasta la réplica", visible: "hasta la búsqueda" },
    p99: "p99", products: "productos", embedded: "con vector", lag: "por aplicar", close: "Cerrar", sku: "SKU", revision: "Revisión", changedAt: "Último cambio", indexedAt: "Indexado",
    keyTitle: "Hace falta una clave", keyHelp: "Esta instalación pide la clave del catálogo. Se guarda solo mientras esta pestaña siga abierta.", keyLabel: "Clave", keySubmit: "Entrar", noTenants: "Sin catálogos",
    complements: "Va con este producto", similar: "Parecidos", sameSize: "misma medida",
    stocks: "Existencias por lugar", prices: "Precios por lista",
  },
  en: {
    explain: "Why these results", didYouMean: (text) => `Searched for: ${text}`, quantity: (text) => `Quantity asked for: ${text}`, lowConfidence: "This catalogue probably does not have what you are looking for.",
    queryType: "Type", searched: "Searched", route: "Route", tokens: "Terms", alias: "Alias", correction: "Correction", unknownWords: "Unknown words", excludedWords: "Ruled out", denseTexts: "By meaning", fusion: "Fusion",
    doubt: "Doubt", verdicts: { shown: "It is on this page.", on_another_page: "It is on another page.", not_indexed: "It is not in the index.", deleted: "It was removed.", filtered: "A filter takes it out.", excluded: "The query rules it out.", not_retrieved: "No retriever found it.", gone_meanwhile: "It changed during the search." },
    redirect: "featured", reranker: "reranked", rerankedOf: (read, all) => `${read} of ${all} read`, moved: (before, after) => `reranked: ${before} → ${after}`, whyNot: "Why is this SKU not here?", ask: "Find out",
    skip: "Go to the results", searchLabel: "Search products", placeholder: "Product, size, brand or code…",
    tenantLabel: "Catalogue", keys: "Slash to search, arrows to walk the results, Escape to clear",
    filters: "Filters", filtersWith: (n) => (n ? `Filters (${n})` : "Filters"),
    from: "from", to: "to",
    facetNote: "Counts cover the candidates of this search.",
    more: "Show more", allValues: (n) => `Show all ${n}`, language: "Switch language to Spanish", theme: "Switch between light and dark",
    results: (n, more) => `${n}${more ? "+" : ""} ${n === 1 ? "result" : "results"}`, catalogue: "Catalogue", took: (ms) => `in ${ms} ms`,
    inStock: "In stock", lowStock: (n) => `${n} left`, outOfStock: "Out of stock", stockUnknown: "Ask for stock", units: (n) => `${n} in stock`,
    noPrice: "Ask for price", per: (unit) => `per ${unit}`, code: "code", text: "text", dense: "meaning", sparse: "learned words", list: "catalogue",
    why: (name, rank, share) => `${name}: rank ${rank}, gives ${share}`, updated: (age) => `updated ${age} ago`,
    emptyTitle: "Nothing like that", emptyHelp: "Try fewer words, another size, or no filters.", clear: "Clear all",
    emptyCatalogue: "This catalogue has no products yet", emptyCatalogueHelp: "The first change from the warehouse will appear here.",
    nearOnly: "No product contains these words. These are the nearest by meaning.",
    degraded: (names) => `Partial answer: search by ${names} did not respond.`, retry: "Try again", offline: "The server cannot be reached.",
    live: "Live", behind: "Catching up", down: "Not in service", starting: "Starting",
    freshness: "from warehouse to search", freshnessFrom: { changed: "from warehouse to search", logged: "from log to search", indexed: "from index to search", committed: "from replica to search" },
    stages: { log: "to the log", index: "to the index", commit: "to the replica", visible: "to the search" },
    p99: "p99", products: "products", embedded: "with a vector", lag: "to be applied", close: "Close", sku: "SKU", revision: "Revision", changedAt: "Last change", indexedAt: "Indexed",
    keyTitle: "A key is needed", keyHelp: "This installation asks for the catalogue's key. It is kept only while this tab is open.", keyLabel: "Key", keySubmit: "Enter", noTenants: "No catalogues",
    complements: "Goes with this product", similar: "Similar", sameSize: "same size",
    stocks: "Stock by place", prices: "Prices by list",
  },
};

let language = MESSAGES[localStorage.getItem("language")] ? localStorage.getItem("language")
  : navigator.language.toLowerCase().startsWith("en") ? "en" : "es";

export const currentLanguage = () => language;

export function switchLanguage() {
  language = language === "es" ? "en" : "es";
  localStorage.setItem("language", language);
}

export function say(name, ...values) {
  const message = MESSAGES[language][name];
  return typeof message === "function" ? message(...values) : message;
}

export const label = ({ labels }) => labels[language];

// The country's own way to write numbers, where the browser says which country of that language; else Latin America's.
const locale = () => navigator.languages.find((one) => one.toLowerCase().startsWith(`${language}-`)) ?? { es: "es-419" }[language] ?? language;

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);

export const percent = (share) =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 0 }).format(share);

export function money(amount, currency) {
  try {
    return new Intl.NumberFormat(locale(), currency ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(amount);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `${number(amount, 2)} ${currency}`; // a shop's own currency name that is no ISO code
  }
}

export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${number(milliseconds / 1000, 1)} s`;
  if (milliseconds < 3_600_000) return `${Math.round(milliseconds / 60_000)} min`;
  return `${number(milliseconds / 3_600_000, 1)} h`;
}

export const moment = (iso) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));
