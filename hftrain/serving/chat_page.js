"use strict";
// Everything that a model or a person wrote is put on the page as text, never as markup.
const ABOUT = /*about*/null;
const CANDIDATES = 6;
const TRIES = ["Hello! Who are you?", "Tell me a short story.", "What can you help me with?"];
const KEPT_TALKS = 100;

const $ = (id) => document.getElementById(id);

function make(tag, given = {}, ...children) {
  const { class: name, on = {}, ...rest } = given;
  const made = document.createElement(tag);
  if (name) made.className = name;
  for (const [key, value] of Object.entries(rest)) if (value !== undefined && value !== null) made.setAttribute(key, value);
  for (const [event, act] of Object.entries(on)) made.addEventListener(event, act);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

const tool = (name, label, act, on = false) =>
  make("button", { type: "button", class: "icon" + (on ? " on" : ""), "aria-label": label, title: label, "aria-pressed": on ? "true" : undefined, on: { click: act } }, icon(name));

const newName = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// What this browser remembers; without storage (a private window may refuse it) the page works and forgets.
const memory = {
  get(key, otherwise) {
    try { return JSON.parse(localStorage.getItem("hftrain." + key)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { localStorage.setItem("hftrain." + key, JSON.stringify(value)); } catch { /* full or refused */ }
  },
};

const state = {
  session: memory.get("session", null) || newName(),
  talks: memory.get("talks", []),
  current: null,
  choices: { temperature: 0.7, top_p: 1, longest: "", seed: "", system: "", private: false, compare: false, probe: false, ...memory.get("choices", {}) },
  running: null,
  open: null, // which small form is open: {node, kind}
  looking: null, // which token is looked at: {node, step}
  unsent: memory.get("unsent", []),
};
memory.set("session", state.session);

const modelNames = ABOUT.models.map((model) => model.id);
const known = (name, otherwise) => (modelNames.includes(name) ? name : otherwise);

// --- conversations: a tree, so that an edit or another try hides nothing ---

const newTalk = () => ({ id: newName(), root: { children: [], at: 0 } });
const child = (node) => node.children[node.at];

function path(talk) {
  const nodes = [];
  for (let node = child(talk.root); node; node = child(node)) nodes.push(node);
  return nodes;
}

function parentOf(talk, wanted) {
  const search = (node) => {
    if (node.children.includes(wanted)) return node;
    for (const each of node.children) { const found = search(each); if (found) return found; }
    return null;
  };
  return search(talk.root);
}

function add(parent, node) {
  parent.children.push(node);
  parent.at = parent.children.length - 1;
  return node;
}

function remember() {
  const talk = state.current;
  if (talk.root.children.length) {
    state.talks = [talk, ...state.talks.filter((each) => each.id !== talk.id)].slice(0, KEPT_TALKS);
  }
  memory.set("talks", state.talks);
}

const title = (talk) => (talk.root.children[0]?.text || "New chat").slice(0, 80);
const said = (node) => node.correction || node.text;

function messagesBefore(node) {
  const nodes = path(state.current);
  const upTo = nodes.slice(0, nodes.indexOf(node) + 1);
  const messages = upTo.map((each) => ({ role: each.role, content: said(each) }));
  const system = state.choices.system.trim();
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}

// --- the server ---

async function call(method, address, body, signal) {
  return fetch(address, {
    method, signal, body: body && JSON.stringify(body),
    headers: { "Content-Type": "application/json", "x-hftrain-session": state.session },
  });
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

function request(messages, model) {
  const { temperature, top_p, longest, seed, probe } = state.choices;
  const asked = { model, messages, stream: true, temperature, top_p, stream_options: { include_usage: true } };
  if (longest) asked.max_tokens = Number(longest);
  if (seed !== "") asked.seed = Number(seed);
  if (probe) Object.assign(asked, { logprobs: true, top_logprobs: CANDIDATES });
  if (state.choices.private) asked.store = false;
  return asked;
}

async function stream(node, messages, signal) {
  const began = performance.now();
  node.busy = true;
  try {
    const response = await call("POST", "/v1/chat/completions", request(messages, node.model), signal);
    if (!response.ok) throw await problemOf(response);
    for await (const chunk of events(response)) {
      if (chunk.error) throw { said: chunk.error.message };
      node.id = chunk.id;
      node.usage = chunk.usage || node.usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      node.text += choice.delta.content || "";
      node.finish = choice.finish_reason || node.finish;
      for (const step of choice.logprobs?.content || []) node.steps.push(step);
      renderSoon(node);
    }
  } catch (problem) {
    if (problem.name === "AbortError") node.finish = "stopped";
    else node.problem = problem.said ? problem : { said: "The server cannot be reached." };
  } finally {
    node.seconds = (performance.now() - began) / 1000;
    node.busy = false;
    node.kept = ABOUT.keeps && !state.choices.private && !node.problem;
  }
}

async function problemOf(response) {
  let said = `The server answered with status ${response.status}.`;
  try { said = (await response.json()).error.message; } catch { /* no JSON */ }
  return { said, wait: Number(response.headers.get("retry-after")) || 0 };
}

const newAnswer = (model) => ({ role: "assistant", model, text: "", steps: [], children: [], at: 0, busy: true });

async function run(work) {
  const controller = new AbortController();
  state.running = controller;
  render();
  try { await work(controller.signal); } finally {
    if (state.running === controller) state.running = null;
    remember();
    render();
  }
}

function answer(node) {
  if (state.running) return;
  const messages = messagesBefore(node);
  if (state.choices.compare) {
    const models = [known(state.choices.first, modelNames[0]), known(state.choices.second, modelNames[1] || modelNames[0])];
    if (crypto.getRandomValues(new Uint8Array(1))[0] & 1) models.reverse();
    node.duel = models.map(newAnswer);
    run((signal) => Promise.all(node.duel.map((each) => stream(each, messages, signal))));
  } else {
    const made = add(node, newAnswer($("model").value));
    run((signal) => stream(made, messages, signal));
  }
}

function ask(text) {
  if (state.running || !text.trim()) return;
  const nodes = path(state.current);
  const last = nodes[nodes.length - 1];
  if (last?.duel) settle(last, null);
  const parent = path(state.current).pop() || state.current.root;
  const node = add(parent, { role: "user", text, children: [], at: 0 });
  $("say").value = "";
  grow();
  atEnd = true;
  answer(node);
}

// --- feedback: kept here until the server says that it is stored ---

function tell(node, feedback) {
  Object.assign(node, { saving: "saving" });
  state.unsent.push({ id: newName(), interaction: node.id, ...feedback });
  memory.set("unsent", state.unsent);
  sendFeedback(node);
}

async function sendFeedback(node) {
  for (const each of [...state.unsent]) {
    try {
      const response = await call("POST", "/v1/feedback", each);
      if (response.status >= 500 || response.status === 429) throw new Error();
      state.unsent = state.unsent.filter((other) => other !== each);
      memory.set("unsent", state.unsent);
      if (node) node.saving = response.ok ? "saved" : "refused";
    } catch {
      if (node) node.saving = "waiting";
      break;
    }
  }
  if (node) { remember(); render(); }
}

function thumb(node, value) {
  node.thumb = node.thumb === value ? 0 : value;
  state.open = node.thumb ? { node, kind: "comment" } : null;
  tell(node, { thumb: node.thumb });
  render();
  if (state.open) document.querySelector(".panel textarea")?.focus({ preventScroll: true });
}

// Choosing between two answers: the one chosen goes on; their names are told only now.
function settle(node, preferred) {
  const [left, right] = node.duel;
  if (preferred) {
    const told = left.kept && right.kept;
    if (told) tell(left, { other: right.id, preferred });
    node.verdict = preferred;
  }
  const order = preferred === "other" ? [left, right] : [right, left];
  for (const each of order) if (!each.problem || each.text) add(node, each);
  for (const each of order) each.compared = preferred ? { this: each === (preferred === "other" ? right : left) ? "better" : "worse", both: "equal", neither: "equal" }[preferred === "other" ? "this" : preferred] : "";
  delete node.duel;
  remember();
  render();
}

// --- drawing ---

let atEnd = true;
let waiting = null;

function renderSoon(node) {
  const live = document.querySelector(`[data-live="${liveName(node)}"]`);
  if (!live) return render();
  waiting ||= requestAnimationFrame(() => {
    waiting = null;
    for (const each of document.querySelectorAll("[data-live]")) {
      const shown = liveNodes.get(each.dataset.live);
      if (shown && shown.busy) each.replaceWith(textOf(shown));
    }
    follow();
  });
}

const liveNodes = new Map();
const liveNames = new WeakMap();
function liveName(node) {
  if (!liveNames.has(node)) liveNames.set(node, newName());
  liveNodes.set(liveNames.get(node), node);
  return liveNames.get(node);
}

function follow() {
  if (atEnd) $("log").scrollTop = $("log").scrollHeight;
}

function textOf(node) {
  const live = node.busy ? { "data-live": liveName(node) } : {};
  if (!state.choices.probe || !node.steps?.length) return make("div", { class: "text", ...live }, said(node));
  return make("div", { class: "text tokens", role: "group", "aria-label": "Tokens of the answer", ...live }, ...node.steps.map((step, at) => token(node, step, at)));
}

const visible = (text) => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "(nothing)";

function token(node, step, at) {
  const here = state.looking?.node === node && state.looking.step === at;
  const made = make("button", {
    type: "button", class: "token", "aria-current": here ? "true" : undefined, tabindex: here || (at === 0 && state.looking?.node !== node) ? "0" : "-1",
    "aria-label": `${visible(step.token)}, ${percent(step.logprob)}`, title: percent(step.logprob),
    on: { click: () => look(node, at), keydown: (event) => { const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]; if (by) { event.preventDefault(); look(node, at + by); } } },
  }, step.token.includes("\n") ? visible(step.token) + "\n" : step.token || "·");
  made.style.setProperty("--p", Math.exp(step.logprob).toFixed(3));
  return made;
}

function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  return share >= 99.95 ? "100 %" : share < 0.1 ? "< 0.1 %" : share.toFixed(1) + " %";
}

function look(node, at) {
  if (at < 0 || at >= node.steps.length) return;
  state.looking = { node, step: at };
  atEnd = false;
  render();
  document.querySelector(".token[aria-current]")?.focus({ preventScroll: true });
}

function lookPanel(node) {
  const at = state.looking.step;
  const step = node.steps[at];
  const drawn = { token: step.token, logprob: step.logprob };
  const others = step.top_logprobs.filter((each) => each.token !== step.token);
  const rows = [drawn, ...others].sort((a, b) => b.logprob - a.logprob);
  const rest = Math.max(0, 1 - rows.reduce((sum, each) => sum + Math.exp(each.logprob), 0));
  const bar = (name, share, shown, mark) => {
    const fill = make("i");
    fill.style.setProperty("--p", share.toFixed(4));
    return make("div", { class: "bar" + (mark ? " drawn" : "") }, make("code", { title: name }, name), fill, make("span", {}, shown));
  };
  return make("div", { class: "panel look", role: "region", "aria-label": "What could have come" },
    make("h3", {},
      make("span", {}, `Step ${at + 1} of ${node.steps.length}`),
      make("span", {}, tool("close", "Close", () => { state.looking = null; render(); }))),
    ...rows.map((each) => bar(visible(each.token), Math.exp(each.logprob), percent(each.logprob), each.token === step.token)),
    bar("everything else", rest, percent(Math.log(rest || 1e-9))),
    make("p", { class: "fine" }, "Probabilities of the model itself, before temperature and top p. ← and → go from step to step."));
}

function userTurn(node) {
  if (state.open?.node === node && state.open.kind === "edit") {
    state.open.form ||= form("Send", node.text, (text) => {
      const parent = parentOf(state.current, node);
      const made = add(parent, { role: "user", text, children: [], at: 0 });
      atEnd = true;
      answer(made);
    }, "Edit your message");
    return make("div", { class: "turn user" }, state.open.form);
  }
  return make("div", { class: "turn user" },
    make("div", { class: "text" }, node.text),
    make("div", { class: "tools" },
      stepper(node),
      !state.running && tool("edit", "Edit", () => open(node, "edit")),
      tool("copy", "Copy", () => copy(node.text))));
}

function stepper(node) {
  const parent = parentOf(state.current, node);
  const count = parent ? parent.children.length : 1;
  if (count < 2 || state.running) return null;
  const go = (by) => () => { parent.at = (parent.at + by + count) % count; remember(); render(); };
  const arrow = (sign, label, by) => make("button", { type: "button", class: "icon", "aria-label": label, on: { click: go(by) } }, sign);
  return make("span", { class: "row step" }, arrow("‹", "Version before", -1), `${parent.at + 1} / ${count}`, arrow("›", "Next version", 1));
}

function numbers(node) {
  const tokens = node.usage?.completion_tokens;
  if (!tokens || !node.seconds) return "";
  const rate = tokens / node.seconds;
  return `${tokens} tokens, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second`;
}

function assistantTurn(node) {
  const verdict = { better: "you preferred it", worse: "the other one was preferred", equal: "no preference" }[node.compared];
  const turn = make("div", { class: "turn assistant" + (node.busy ? " busy" : "") },
    make("div", { class: "who" }, make("b", {}, node.model), make("span", {}, numbers(node)), verdict && make("span", {}, verdict)),
    node.correction
      ? make("div", { class: "corrected" }, make("div", { class: "fine" }, "Your correction; the conversation goes on with it"), make("div", { class: "text" }, node.correction))
      : textOf(node));
  if (node.finish === "length") turn.append(make("div", { class: "cut" }, "Cut at the longest answer."));
  if (node.finish === "stopped") turn.append(make("div", { class: "cut" }, "Stopped."));
  if (node.problem) turn.append(problem(node));
  if (state.looking?.node === node && state.choices.probe) turn.append(lookPanel(node));
  if (!node.busy) turn.append(tools(node));
  if (state.open?.node === node) turn.append(state.open.form ||= smallForm(node));
  return turn;
}

function problem(node) {
  const again = make("button", { type: "button", class: "quiet", on: { click: () => retry(node) } }, "Try again");
  if (node.problem.wait) {
    const until = Date.now() + 1000 * node.problem.wait;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      again.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }
  return make("div", { class: "problem", role: "alert" }, make("span", {}, node.problem.said), again);
}

function tools(node) {
  const bar = make("div", { class: "tools" }, stepper(node),
    node.kept && tool("up", "Good answer", () => thumb(node, 1), node.thumb === 1),
    node.kept && tool("down", "Bad answer", () => thumb(node, -1), node.thumb === -1),
    node.kept && tool("pen", "Write a better answer", () => open(node, "correct"), Boolean(node.correction)),
    tool("copy", "Copy", () => copy(said(node))),
    !state.running && tool("retry", "Another answer", () => retry(node)));
  const saving = { saving: ["saved", "Saving…"], saved: ["saved", "Saved"], waiting: ["saved unsaved", "Not sent yet; it will be"], refused: ["saved unsaved", "The server keeps no such answer"] }[node.saving];
  if (saving) bar.append(make("span", { class: saving[0], role: "status" }, saving[1]));
  return bar;
}

function smallForm(node) {
  if (state.open.kind === "comment") {
    return form("Send", node.comment || "", (text) => { node.comment = text; tell(node, { comment: text }); render(); },
      node.thumb === 1 ? "What was good about it? (optional)" : "What was wrong with it? (optional)");
  }
  return form("Save correction", said(node), (text) => { node.correction = text; tell(node, { correction: text }); render(); },
    "The answer that you would have liked");
}

function form(verb, text, act, label) {
  const area = make("textarea", { rows: Math.min(12, 2 + text.split("\n").length), "aria-label": label });
  area.value = text;
  const send = () => { if (area.value.trim()) { state.open = null; act(area.value.trim()); } };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    if (event.key === "Escape") { event.stopPropagation(); open(null); }
  });
  return make("div", { class: "panel" }, make("div", { class: "fine" }, label), area,
    make("div", { class: "row" }, make("span", { class: "grow" }),
      make("button", { type: "button", class: "quiet", on: { click: () => open(null) } }, "Cancel"),
      make("button", { type: "button", class: "primary", on: { click: send } }, verb)));
}

function open(node, kind) {
  state.open = node ? { node, kind } : null;
  render();
  const area = document.querySelector(".panel textarea");
  if (area) { area.focus(); area.setSelectionRange(area.value.length, area.value.length); }
}

function retry(node) {
  if (state.running) return;
  const parent = parentOf(state.current, node);
  if (node.problem && !node.text) {
    parent.children.splice(parent.children.indexOf(node), 1);
    parent.at = Math.max(0, parent.children.length - 1);
  }
  answer(parent);
}

function duel(node) {
  const isDone = node.duel.every((each) => !each.busy);
  const columns = node.duel.map((each, at) => make("article", { class: "turn" + (each.busy ? " busy" : ""), "aria-label": "Answer " + "AB"[at] },
    make("div", { class: "who" }, make("b", {}, "Answer " + "AB"[at])), textOf(each), each.problem && make("div", { class: "problem", role: "alert" }, each.problem.said)));
  const vote = (label, preferred, key) => make("button", { type: "button", class: "quiet", "data-vote": key, on: { click: () => settle(node, preferred) } }, label);
  const isWhole = node.duel.every((each) => !each.problem);
  return make("div", { class: "wide" }, make("div", { class: "duel" }, ...columns),
    isDone && make("div", { class: "vote", role: "group", "aria-label": "Which is better?" },
      ...(isWhole ? [vote("A is better", "this", "a"), vote("Both are good", "both", "b"), vote("Both are bad", "neither", "n"), vote("B is better", "other", "z")] : []),
      make("button", { type: "button", class: "soft", on: { click: () => settle(node, null) } }, "Skip")));
}

function emptyLog() {
  return make("div", { class: "empty" }, make("h1", {}, "What would you like to say?"),
    make("p", {}, `${modelNames.length === 1 ? "One model is" : modelNames.length + " models are"} served here.`),
    make("div", { class: "tries" }, ...TRIES.map((text) => make("button", { type: "button", on: { click: () => ask(text) } }, text))));
}

// A drawing replaces what is there: whoever is at a button or in a form stays there.
function focused() {
  const here = document.activeElement;
  if (state.open?.form?.contains(here)) return () => here.focus({ preventScroll: true });
  const at = [...$("log").children].findIndex((each) => each.contains(here));
  if (at < 0 || here.tagName !== "BUTTON") return () => {};
  const name = (button) => button.getAttribute("aria-label") || button.textContent;
  const alike = (turn) => [...(turn?.querySelectorAll("button") || [])].filter((button) => name(button) === name(here));
  const place = alike($("log").children[at]).indexOf(here);
  return () => alike($("log").children[at])[place]?.focus({ preventScroll: true });
}

function render() {
  const nodes = path(state.current);
  const refocus = focused();
  const parts = nodes.flatMap((node) => (node.role === "user" ? [userTurn(node), node.duel && duel(node)] : [assistantTurn(node)]));
  $("log").replaceChildren(...(nodes.length ? parts.filter(Boolean) : [emptyLog()]));
  $("send").replaceChildren(icon(state.running ? "stop" : "send"));
  $("send").setAttribute("aria-label", state.running ? "Stop" : "Send");
  $("state").textContent = state.running ? "Answering…" : "";
  for (const key of ["compare", "probe"]) $(key).setAttribute("aria-pressed", String(state.choices[key]));
  $("model").disabled = state.choices.compare;
  renderTalks();
  refocus();
  follow();
  document.querySelector(".panel")?.scrollIntoView({ block: "nearest" });
}

function renderTalks() {
  const talks = state.talks.map((talk) => make("div", { class: "talk" + (talk.id === state.current.id ? " on" : "") },
    make("button", { type: "button", "aria-current": talk.id === state.current.id ? "true" : undefined, on: { click: () => show(talk) } }, title(talk)),
    tool("bin", "Delete this conversation from this browser", () => remove(talk))));
  $("talks").replaceChildren(...talks);
}

function show(talk) {
  state.running?.abort();
  Object.assign(state, { current: talk, open: null, looking: null });
  atEnd = true;
  drawer(false);
  render();
  $("say").focus();
}

function remove(talk) {
  state.talks = state.talks.filter((each) => each !== talk);
  if (talk.id === state.current.id) state.current = newTalk();
  remember();
  render();
}

// --- the frame around it ---

function copy(text) {
  navigator.clipboard?.writeText(text).then(() => { $("state").textContent = "Copied"; }, () => {});
}

function grow() {
  const area = $("say");
  area.style.height = "auto";
  area.style.height = Math.min(area.scrollHeight, innerHeight * 0.4) + "px";
}

function drawer(isOpen) {
  $("side").classList.toggle("open", isOpen);
  $("shade").hidden = !isOpen;
  $("menu").setAttribute("aria-expanded", String(isOpen));
}

function theme(value) {
  const isDark = value ? value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", isDark);
}

function choose(key, value) {
  state.choices[key] = value;
  memory.set("choices", state.choices);
}

function setUp() {
  for (const id of ["model", "first", "second"]) {
    $(id).replaceChildren(...ABOUT.models.map((model) => make("option", { value: model.id }, model.id)));
    const usual = id === "second" ? modelNames[1] || modelNames[0] : modelNames[0];
    $(id).value = known(state.choices[id], usual);
    $(id).addEventListener("change", () => choose(id, $(id).value));
  }
  for (const id of ["temperature", "top_p", "longest", "seed", "system"]) {
    const show = () => { const shown = $(id + "-shown"); if (shown) shown.textContent = $(id).value; };
    $(id).value = state.choices[id];
    $(id).addEventListener("input", () => { choose(id, ["temperature", "top_p"].includes(id) ? Number($(id).value) : $(id).value); show(); });
    show();
  }
  $("private").checked = state.choices.private;
  $("private").disabled = !ABOUT.keeps;
  $("private").addEventListener("change", () => { choose("private", $("private").checked); renderKept(); });
  $("rivals").hidden = modelNames.length < 2;
  renderKept();
}

function renderKept() {
  $("kept").textContent = !ABOUT.keeps || state.choices.private
    ? "Nothing that you write is kept by the server."
    : `What you write is kept for ${ABOUT.days} days to make the models better. Personal data is replaced first. Settings: keep nothing, or delete it.`;
}

async function forget() {
  try {
    const response = await call("DELETE", "/v1/my-data", {});
    if (!response.ok) throw new Error();
    const { deleted_rows: rows } = await response.json();
    state.session = newName();
    memory.set("session", state.session);
    Object.assign(state, { talks: [], unsent: [], current: newTalk(), open: null, looking: null });
    memory.set("unsent", []);
    remember();
    render();
    $("forgotten").textContent = `Deleted: ${rows} rows on the server, and all conversations in this browser.`;
  } catch {
    $("forgotten").textContent = "The server did not answer. Nothing was deleted; try again.";
  }
}

function listen() {
  $("composer").addEventListener("submit", (event) => { event.preventDefault(); if (state.running) state.running.abort(); else ask($("say").value); });
  $("say").addEventListener("input", grow);
  $("say").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); if (!state.running) ask($("say").value); }
  });
  $("log").addEventListener("scroll", () => { const log = $("log"); atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
  $("new").addEventListener("click", () => show(newTalk()));
  $("menu").addEventListener("click", () => drawer(!$("side").classList.contains("open")));
  $("shade").addEventListener("click", () => drawer(false));
  $("compare").addEventListener("click", () => { choose("compare", !state.choices.compare); render(); });
  $("probe").addEventListener("click", () => { choose("probe", !state.choices.probe); render(); });
  $("settings").addEventListener("click", () => { $("forgotten").textContent = ""; $("dialog").showModal(); });
  $("forget").addEventListener("click", forget);
  $("theme").addEventListener("click", () => {
    const value = document.documentElement.classList.contains("dark") ? "light" : "dark";
    memory.set("theme", value);
    theme(value);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(memory.get("theme", null)));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.running) state.running.abort();
    else if (event.key === "Escape") drawer(false);
    else if (event.key === "/" && !/^(TEXTAREA|INPUT|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); $("say").focus(); }
  });
  addEventListener("online", () => sendFeedback(null));
}

theme(memory.get("theme", null));
state.current = state.talks[0] || newTalk();
setUp();
listen();
render();
sendFeedback(null);
$("say").focus();
