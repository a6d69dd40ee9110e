// Shows OpenAPI documents. Everything is set as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];
const contents = document.getElementById("contents");
const content = document.getElementById("content");
const state = document.getElementById("state");

// el makes an element: el("a", {href: "#x"}, "text", child).
function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== ""));
  return element;
}

// inline shows `code` and **bold** of one run of text.
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return el("strong", {}, part.slice(2, -2));
    return part;
  });
}

// prose shows paragraphs, ### headings and lists.
function prose(text = "") {
  return text.trim().split(/\n\s*\n/).filter(Boolean).flatMap((block) => {
    const lines = block.split("\n");
    const made = [];
    if (lines[0].startsWith("### ")) made.push(el("h4", {}, inline(lines.shift().slice(4))));
    if (lines.length === 0) return made;
    const marker = /^(-|\d+\.) /;
    if (!marker.test(lines[0])) return [...made, el("p", {}, inline(lines.join(" ")))];
    const items = [];
    for (const line of lines) {
      if (marker.test(line)) items.push(line.replace(marker, ""));
      else items[items.length - 1] += " " + line.trim();
    }
    const list = /^\d/.test(lines[0]) ? "ol" : "ul";
    return [...made, el(list, {}, items.map((item) => el("li", {}, inline(item))))];
  });
}

// resolve follows a $ref inside its document.
function resolve(doc, value) {
  let depth = 0;
  while (value?.$ref && depth++ < 20) {
    value = value.$ref.slice(2).split("/").reduce((at, step) => at?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], doc);
  }
  return value ?? {};
}

// flatten makes one schema of a schema and the parts in its allOf.
function flatten(doc, schema, depth = 0) {
  schema = resolve(doc, schema);
  if (!schema.allOf || depth > 10) return schema;
  const { allOf, ...rest } = schema;
  return [...allOf, rest].map((part) => flatten(doc, part, depth + 1)).reduce((a, b) => merge(doc, a, b));
}

function merge(doc, a, b) {
  a = flatten(doc, a);
  b = flatten(doc, b);
  const merged = { ...a, ...b };
  if (a.required && b.required) merged.required = [...new Set([...a.required, ...b.required])];
  if (a.properties && b.properties) {
    merged.properties = { ...a.properties };
    for (const [name, value] of Object.entries(b.properties)) {
      merged.properties[name] = name in a.properties ? merge(doc, a.properties[name], value) : value;
    }
  }
  return merged;
}

function typeName(doc, schema) {
  if (schema.type === "array") return "array of " + typeName(doc, flatten(doc, schema.items ?? {}));
  const type = [schema.type ?? (schema.properties ? "object" : "any")].flat().join(" or ");
  return schema.format ? `${type} (${schema.format})` : type;
}

// limits says in words what a schema demands beside its type.
function limits(schema) {
  const said = [];
  if (schema.enum) said.push((schema.enum.length > 1 ? "one of " : "always ") + schema.enum.map((value) => "`" + value + "`").join(", "));
  if (schema.minLength && schema.maxLength) said.push(`${schema.minLength} to ${schema.maxLength} characters`);
  else if (schema.maxLength) said.push(`at most ${schema.maxLength} characters`);
  else if (schema.minLength > 1) said.push(`at least ${schema.minLength} characters`);
  if (schema.minimum !== undefined) said.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) said.push(`at most ${schema.maximum}`);
  if (schema.minItems) said.push(schema.minItems === 1 ? "not empty" : `at least ${schema.minItems} entries`);
  if (schema.maxItems !== undefined) said.push(`at most ${schema.maxItems} entries`);
  if (schema.pattern && schema.format !== "date-time") said.push("pattern `" + schema.pattern + "`");
  if (schema.default !== undefined) said.push("default `" + JSON.stringify(schema.default) + "`");
  return said.join("; ");
}

// mark tells the fields that a request must have, and those that an answer may lack.
function mark(asked, required) {
  if (asked) return required ? el("span", { class: "needed" }, "required") : "";
  return required ? "" : el("span", { class: "lacking" }, "not always");
}

// rows lists the properties of an object, those of inner objects beneath.
function rows(doc, schema, asked, prefix = "", depth = 0) {
  if (depth > 6) return [];
  schema = flatten(doc, schema);
  if (schema.type === "array") return rows(doc, schema.items ?? {}, asked, prefix + "[]", depth + 1);
  const optional = ([name]) => !schema.required?.includes(name);
  const properties = Object.entries(schema.properties ?? {}).sort((a, b) => optional(a) - optional(b));
  return properties.flatMap(([name, value]) => {
    const property = flatten(doc, value);
    const own = property.type === "array" ? flatten(doc, property.items ?? {}) : property;
    const path = prefix ? prefix + "." : "";
    const row = el("tr", {},
      el("td", {}, el("code", {}, path ? el("span", { class: "nested" }, path) : "", name), mark(asked, schema.required?.includes(name))),
      el("td", {}, typeName(doc, property)),
      el("td", {}, prose(property.description), ...describe(limits(property)), own === property ? "" : describe(limits(own))));
    return [row, ...rows(doc, property, asked, path + name, depth + 1)];
  });
}

function describe(words) {
  return words ? [el("p", { class: "soft" }, inline(words))] : [];
}

function table(head, body) {
  return el("div", { class: "scroll" },
    el("table", {}, el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, body)));
}

// schemaView shows a schema: alternatives, a table of properties, or a line.
function schemaView(doc, schema, asked) {
  schema = flatten(doc, schema);
  const shown = [];
  for (const [key, words] of [["oneOf", "Exactly one of these"], ["anyOf", "At least one of these"]]) {
    const choices = schema[key];
    if (!choices) continue;
    if (choices.every((choice) => choice.required && !choice.properties)) {
      shown.push(el("p", {}, words + ": ", inline(choices.map((choice) => "`" + choice.required.join("` and `") + "`").join(", "))));
    } else {
      shown.push(el("p", {}, words + ":"), ...choices.map((choice) => schemaView(doc, choice, asked)));
    }
  }
  const listed = rows(doc, schema, asked);
  if (listed.length > 0) shown.push(table(["Field", "Type", "Meaning"], listed));
  else if (schema.type) shown.push(el("p", {}, typeName(doc, schema), ". ", inline(limits(schema))));
  return el("div", {}, shown);
}

function examplesView(doc, type, media) {
  return Object.values(media.examples ?? {}).map((entry) => {
    const example = resolve(doc, entry);
    const form = type === "application/x-www-form-urlencoded";
    const text = form ? new URLSearchParams(example.value).toString() : JSON.stringify(example.value, null, 2);
    return el("div", {}, example.summary ? el("p", { class: "soft" }, example.summary) : "", el("pre", { tabindex: "0" }, el("code", {}, text)));
  });
}

function bodyView(doc, body, asked) {
  const types = Object.entries(body.content ?? {});
  return types.flatMap(([type, media], i) => {
    const same = i > 0 && JSON.stringify(media.schema) === JSON.stringify(types[0][1].schema);
    return [el("p", {}, el("code", {}, type), same ? " with the same fields" : ""), same ? "" : schemaView(doc, media.schema ?? {}, asked), ...examplesView(doc, type, media)];
  });
}

function parametersView(doc, parameters) {
  const body = parameters.map((entry) => {
    const parameter = resolve(doc, entry);
    const schema = flatten(doc, parameter.schema ?? {});
    return el("tr", {},
      el("td", {}, el("code", {}, parameter.name), parameter.required ? el("span", { class: "needed" }, "required") : ""),
      el("td", {}, parameter.in + ", " + typeName(doc, schema)),
      el("td", {}, prose(parameter.description ?? schema.description), ...describe(limits(schema))));
  });
  return [el("h4", {}, "Parameters"), table(["Name", "Where", "Meaning"], body)];
}

function answerView(doc, status, entry) {
  const response = resolve(doc, entry);
  const good = status.startsWith("2");
  const headers = Object.entries(response.headers ?? {}).map(([name, header]) =>
    el("li", {}, el("code", {}, name), " ", inline(resolve(doc, header).description ?? "")));
  return el("details", { class: "answer", open: good },
    el("summary", {}, el("span", { class: good ? "status good" : "status" }, status), " ", inline(response.description ?? "")),
    el("div", {}, headers.length ? el("ul", { class: "soft" }, headers) : "", bodyView(doc, response, false)));
}

// credentials says what an operation asks of its caller.
function credentials(doc, operation) {
  const choices = operation.security ?? doc.security ?? [];
  if (choices.length === 0) return el("p", { class: "soft" }, "Needs no credential.");
  const words = choices.map((choice) => {
    const names = Object.keys(choice);
    return names.length === 0 ? "none" : names.map((name) => doc.components?.securitySchemes?.[name]?.description?.trim().split("\n")[0] ?? name).join(" and ");
  });
  return el("div", {}, el("h4", {}, "Credential"), words.length === 1 ? el("p", {}, inline(words[0])) : el("ul", {}, words.map((text) => el("li", {}, inline(text)))));
}

// quoted is text as one word of a shell.
const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

// curl shows the request with the first example as its body.
function curl(doc, method, path, operation) {
  const address = path.replaceAll("{", "$").replaceAll("}", "");
  const lines = [`curl -X ${method.toUpperCase()} "${location.origin}${address}"`];
  const scheme = doc.components?.securitySchemes?.[Object.keys(operation.security?.[0] ?? {})[0]]?.scheme;
  if (scheme === "bearer") lines.push('-H "Authorization: Bearer $ACCESS_TOKEN"');
  if (scheme === "basic") lines.push('-u "$AGENT_ID:$SECRET"');
  const media = resolve(doc, operation.requestBody).content?.["application/json"];
  const example = Object.values(media?.examples ?? {})[0];
  if (example) lines.push("-H 'Content-Type: application/json'", "-d " + quoted(JSON.stringify(resolve(doc, example).value)));
  return el("pre", { tabindex: "0" }, el("code", {}, lines.join(" \\\n  ")));
}

function operationView(doc, id, method, path, item) {
  const operation = item[method];
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
  const body = operation.requestBody && resolve(doc, operation.requestBody);
  return el("details", { class: "operation", id },
    el("summary", {}, el("span", { class: "method " + method }, method.toUpperCase()), el("code", {}, path), el("span", { class: "soft" }, operation.summary ?? "")),
    el("div", {}, prose(operation.description), credentials(doc, operation),
      parameters.length ? parametersView(doc, parameters) : "",
      body ? [el("h4", {}, body.required ? "Body" : "Body (may be left out)"), bodyView(doc, body, true)] : "",
      el("h4", {}, "Example call"), curl(doc, method, path, operation),
      el("h4", {}, "Answers"), Object.entries(operation.responses ?? {}).map(([status, entry]) => answerView(doc, status, entry))));
}

// operationsOf lists a tag's operations by path; what deletes comes last.
function operationsOf(doc, tag) {
  return Object.entries(doc.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]?.tags?.[0] === tag).map((method) => ({ path, item, method, operation: item[method] })))
    .sort((a, b) => (a.method === "delete") - (b.method === "delete"));
}

// show puts one document into the page and into the contents.
function show(name, doc) {
  const section = el("section", { id: name }, el("h2", {}, doc.info.title), el("p", { class: "soft" }, `Version ${doc.info.version}`), prose(doc.info.description));
  const index = el("section", {}, el("h2", {}, el("a", { href: "#" + name }, doc.info.title)));
  for (const tag of doc.tags ?? []) {
    const operations = operationsOf(doc, tag.name).map((entry) => ({ ...entry, id: `${name}-${entry.operation.operationId}` }));
    section.append(el("div", { class: "tag" }, el("h3", {}, tag.name), prose(tag.description),
      operations.map(({ id, method, path, item }) => operationView(doc, id, method, path, item))));
    index.append(el("div", { class: "tag" }, el("h3", {}, tag.name), el("ul", {}, operations.map(({ id, method, operation }) =>
      el("li", {}, el("a", { href: "#" + id }, el("span", { class: "method " + method }, method.toUpperCase()), operation.summary ?? operation.operationId))))));
  }
  content.append(section);
  contents.append(index);
}

// goTo opens the operation that the address names.
function goTo() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
  target?.scrollIntoView();
  for (const link of contents.querySelectorAll("a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

// filter hides the operations, and the groups without any, that do not have all words.
function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const operation of content.querySelectorAll(".operation")) {
    const own = operation.querySelector("summary").textContent.toLowerCase();
    operation.hidden = !words.every((word) => own.includes(word));
    contents.querySelector(`a[href="#${CSS.escape(operation.id)}"]`).parentElement.hidden = operation.hidden;
  }
  for (const group of document.querySelectorAll(".tag")) {
    group.hidden = !group.querySelector(":scope > .operation:not([hidden]), :scope > ul > li:not([hidden])");
  }
}

async function start() {
  const names = [...document.querySelectorAll("[data-document]")].map((link) => link.dataset.document);
  const documents = await Promise.all(names.map(async (name) => {
    const answer = await fetch(`/openapi/${name}.json`);
    if (!answer.ok) throw new Error(`${name}: status ${answer.status}`);
    return answer.json();
  }));
  state.remove();
  documents.forEach((doc, i) => show(names[i], doc));
  document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
  addEventListener("hashchange", goTo);
  if (location.hash) goTo();
}

start().catch((error) => { state.textContent = "The documents could not be read: " + error.message; });
