// The page: choices in, pictures and sentences out. State is in the address.

const COLUMN = Object.fromEntries([...data.others, ...data.columns].map((column) => [column.name, column]));
const PART = "part of tpot_s: "; // what the meaning of such a column begins with
const PARTS = data.columns.filter(({ meaning }) => meaning.startsWith(PART)).map(({ name, meaning }) => [name, meaning.slice(PART.length)]);
const NUMBERS = { // sliders: steps from low to high
  batch: ["Batch", 1, 4096], input_len: ["Prompt [tokens]", 16, 1048576], output_len: ["Output [tokens]", 2, 131072],
};
const FACTORS = {
  bandwidth: ["Memory bandwidth", [0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4]],
  flops: ["FLOP/s", [0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4]],
  capacity: ["Memory capacity", [0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4]],
  power: ["Power limit", [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1]],
  price: ["Price", [0.1, 0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4]],
};
const CHOICES = { model: "Models", device: "Devices", weight_format: "Weight formats", tp: "Tensor parallelism" };
const OTHERS = Object.keys(data.axes).filter((name) => !(name in CHOICES) && !(name in NUMBERS));
const X = ["tpot_s", "ttft_s", "e2e_latency_s", "tokens_per_s_per_user"];
const Y = ["tokens_per_s_per_device", "cost_per_mtok_output_usd", "energy_per_output_token_j", "requests_per_s", "power_w", "mbu"];
const BEST = ["cost_per_mtok_output_usd", "tpot_s", "ttft_s", "e2e_latency_s", "tokens_per_s_per_device", "energy_per_output_token_j"];
const INTERVAL = { tpot_s: ["tpot_low_s", "tpot_high_s"], ttft_s: ["ttft_low_s", "ttft_high_s"],
  e2e_latency_s: ["e2e_latency_low_s", "e2e_latency_high_s"] };

// State: one value per number, several per axis of the series.

function first() {
  const state = {};
  for (const [name, axis] of Object.entries(data.axes)) {
    const given = data.state[name];
    if (SERIES.includes(name)) state[name] = given || [{ weight_format: NATIVE, tp: AUTO }[name]];
    else state[name] = given ? given[Math.floor(given.length / 2)] : axis.default;
  }
  if (!state.acceptance) state.acceptance = 0.7;
  for (const name of Object.keys(FACTORS)) state[name] = 1;
  return { ...state, sets: data.state.sets || [], x: X[0], y: Y[0], best: BEST[0], rx: "", ry: "", rc: "", rb: "", rg: "", where: {}, limits: [] };
}

function read(hash) {
  const state = first();
  for (const pair of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const [name, ...rest] = pair.split("=");
    let values;
    try {
      values = rest.join("=").split(",").map(decodeURIComponent);
    } catch {
      continue; // not ours
    }
    if (name.startsWith("where.")) state.where[name.slice(6)] = values[0];
    else if (SERIES.includes(name)) {
      const found = values.map((value) => admitted(name, value)).filter((value) => value !== null);
      if (found.length) state[name] = [...new Set(found)];
    } else if (name === "sets") {
      state.sets = values.filter(parsedSet);
    } else if (name === "limits") {
      state.limits = values.filter(parsedLimit);
    } else if (name in state && name !== "where") {
      const found = admitted(name, values[0]);
      if (found !== null) state[name] = found;
    }
  }
  return state;
}

// A value from the address or a field; null if it is none.
function admitted(name, text) {
  if (["x", "y"].includes(name)) return COLUMN[text] ? text : null;
  if (name === "best") return BEST.includes(text) ? text : null;
  if (["rx", "ry", "rc", "rb", "rg"].includes(name)) return text;
  if (name === "tp" && text === AUTO) return AUTO;
  if (name === "weight_format" && text === NATIVE) return NATIVE;
  const axis = data.axes[name];
  if (axis && axis.entries) return Object.hasOwn(data.catalogue[name], text) ? text : null;
  if (axis && axis.choices.length) return axis.choices.includes(text) ? text : null;
  const number = Number(text);
  if (text === "" || !Number.isFinite(number)) return null;
  const { low, high, whole } = axis || { low: 0.01, high: name === "power" ? 1 : 100 };
  return Math.min(Math.max(whole ? Math.round(number) : number, low), high);
}

function write(state) {
  const plain = first(), pairs = [];
  for (const [name, value] of Object.entries(state)) {
    if (name === "where") {
      for (const [axis, one] of Object.entries(value)) pairs.push(`where.${axis}=${encodeURIComponent(one)}`);
    } else if (String(value) !== String(plain[name])) {
      pairs.push(`${name}=${[].concat(value).map(encodeURIComponent).join(",")}`);
    }
  }
  return pairs.length ? `#${pairs.join("&")}` : location.pathname + location.search;
}

let state = read(location.hash);
let chosen = { place: 0, batch: null }; // of the series; null: the state's batch
let shown = [], curves = [], asked = false, timer = 0;

function change(changes) {
  Object.assign(state, changes);
  if ("batch" in changes) chosen.batch = null;
  ask();
}

// Draw in the next frame, once.
function ask() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", write(state)), 150); // browsers limit how often
  });
}

// What is computed

function labelled(made, several, counted = true) {
  const words = several.length ? several : ["device"];
  return words.map((name) => {
    if (name === "tp") return `tp ${counted ? made.tp : made.tpGiven}`;
    if (name === "weight_format") return made.format || made.weight_format;
    return counted && name === "device" && made.devices > 1 ? `${made.devices} × ${made.device}` : made[name];
  }).join(" · ");
}

// The axis that colours tell apart.
function tellingAxis() {
  return SERIES.find((name) => state[name].length > 1) || SERIES[0];
}

// Values of an axis in the order of their colours: that of the sweep, as in its pictures, if it has few enough.
function inOrder(axis) {
  const every = [...new Set([...(data.offered[axis] || []), ...state[axis]])];
  return every.length > LIGHT.length ? state[axis] : every;
}

function batches() {
  const given = (data.state.batch || []).map(Number);
  const listed = given.length > 2 ? given : Array.from({ length: 13 }, (_, power) => 2 ** power);
  return [...new Set([...listed, state.batch])].sort((one, other) => one - other);
}

function compute() {
  const { shown: found, all } = seriesOf(state);
  const by = SERIES.filter((name) => state[name].length > 1), telling = tellingAxis();
  shown = found.map((one) => {
    const made = resolve(state, one);
    made.label = labelled(made, by);
    const other = by.slice(1).reduce((place, name) => place * state[name].length + state[name].indexOf(one[name]), 0);
    made.shade = inOrder(telling).indexOf(one[telling]) % LIGHT.length;
    made.dash = DASHES[other % DASHES.length];
    made.short = labelled(made, by, false);
    Object.assign(made, pointOf(state, made, state.batch));
    return made;
  });
  curves = shown.map((made) => {
    const points = [];
    for (const batch of made.records ? batches() : []) {
      const { point, fault } = pointOf(state, made, batch);
      if (!fault && (point.running_batch >= batch || batch === state.batch)) points.push({ batch, point });
    }
    return points;
  });
  chosen.place = Math.min(chosen.place, shown.length - 1);
  return all;
}

// What is said

function finding() {
  const running = shown.filter((made) => !made.fault);
  if (!running.length) {
    const [made] = shown;
    return shown.length > 1 ? `None of these can run; ${made.label}: ${made.fault}.` : `${made.label} does not run: ${made.fault}.`;
  }
  const least = (name) => running.reduce((one, other) => (other.point[name] < one.point[name] ? other : one));
  const time = ({ point }) => ranged(point.tpot_s, point.tpot_low_s, point.tpot_high_s, "s");
  const cost = ({ point }) => `${told(point.cost_per_mtok_output_usd, "USD")} per million output tokens`;
  const fast = least("tpot_s"), cheap = least("cost_per_mtok_output_usd");
  if (running.length === 1) {
    const most = PARTS.reduce((one, other) => (fast.point[other[0]] > fast.point[one[0]] ? other : one));
    return `${fast.label} takes ${time(fast)} per output token, above all for ${most[1]}, at ${cost(fast)}.`;
  }
  const rivals = running.filter((made) => made !== fast && made.point.tpot_low_s < fast.point.tpot_high_s).length;
  const open = rivals ? `; within the intervals, ${rivals === 1 ? "another one" : `${rivals} others`} may be as fast` : "";
  if (fast === cheap) return `${fast.label} is both fastest, ${time(fast)} per output token, and cheapest, ${cost(fast)}${open}.`;
  return `${fast.label} is fastest: ${time(fast)} per output token${open}. ${cheap.label} is cheapest: ${cost(cheap)}.`;
}

function setting(all) {
  const single = SERIES.filter((name) => state[name].length === 1 && name !== "tp");
  const words = single.map((name) => {
    if (name === "weight_format") return shown[0].format || state[name][0];
    return data.catalogue[name] && data.catalogue[name][state[name][0]] ? data.catalogue[name][state[name][0]].title : state[name][0];
  });
  const number = (value) => value.toLocaleString("en-US");
  words.push(`${state.scheduler}${state.scheduler === "static" ? " batch of" : " batching,"} ${number(state.batch)}`,
    `${number(state.input_len)} tokens in, ${number(state.output_len)} out`, `engine ${state.engine}`, `prices ${state.economics}`);
  for (const [name, [label]] of Object.entries(FACTORS)) if (state[name] !== 1) words.push(`${label.toLowerCase()} × ${state[name]}`);
  words.push(...state.sets);
  const rest = all > shown.length ? ` The first ${shown.length} of ${all} combinations are shown.` : "";
  const named = ["model", "device"].flatMap((kind) => shown.map((made) => [kind, made[kind]]));
  const unreal = [...new Set(named.filter(([kind, name]) => (data.catalogue[kind][name] || {}).hypothetical).map(([, name]) => name))];
  const doubt = unreal.length ? ` Hypothetical: ${unreal.join(", ")}.` : "";
  return `${words.join(" · ")}. Intervals are 80 %.${doubt}${rest}`;
}

// What is drawn

function draw() {
  const begun = performance.now();
  if (data.computes) drawPoints();
  if (rows) drawRows();
  document.body.dataset.drawn = (performance.now() - begun).toFixed(2);
}

function drawPoints() {
  const all = compute();
  const ink = colours();
  for (const made of shown) made.colour = ink.series[made.shade];
  $("#finding").textContent = finding();
  $("#setting").textContent = setting(all);
  bars($("#time canvas"), shown.map((made, number) => ({
    label: made.label, colour: made.colour, fault: made.fault, chosen: number === chosen.place && shown.length > 1,
    value: made.fault ? "" : ranged(made.point.tpot_s, made.point.tpot_low_s, made.point.tpot_high_s, "s"),
    parts: made.fault ? [] : PARTS.map(([name], part) => [TERMS[part], made.point[name]]),
    low: made.fault ? 0 : made.point.tpot_low_s, high: made.fault ? 0 : made.point.tpot_high_s,
  })));
  bars($("#memory canvas"), shown.map(memory));
  legend($("#time .legend"), PARTS.flatMap(([name, label], part) =>
    shown.some((made) => !made.fault && made.point[name] > 0) ? [[TERMS[part], label]] : []));
  legend($("#memory .legend"), [[TERMS[0], "weights"], [TERMS[1], "KV cache and states"], [ink.line, "free"],
    [ink.faint, "kept back or second tier"]]);
  pareto();
  $("#map").hidden = shown.length < 2;
  if (shown.length > 1) map();
  results();
  point();
  const speaks = (id, what) => $(`${id} canvas`).setAttribute("aria-label", `${what} ${$("#finding").textContent}`);
  speaks("#time", "Time per output token, by what limits it.");
  speaks("#memory", "Memory of one device.");
  speaks("#map", "The best configuration at each batch and prompt length.");
  speaks("#pareto", "Latency against throughput over batch.");
}

function memory(made) {
  const row = { label: made.label, colour: made.colour, fault: made.point ? "" : made.fault, parts: [], value: "" };
  if (!made.point) return row;
  const { device } = made.records, { point } = made;
  const held = point.total_bytes_per_device, usable = usableBytes(state, made);
  const free = Math.max(usable - held, 0);
  const back = Math.max(device.memory_capacity - Math.max(usable, held), 0);
  row.parts = [[TERMS[0], point.weight_bytes_per_device], [TERMS[1], point.kv_bytes_per_device],
    [colours().line, free], [colours().faint, back]];
  row.value = made.fault || `${told(held, "bytes")} of ${told(device.memory_capacity, "bytes")}`;
  return row;
}

// A column on an axis: short, with the unit that its ticks leave out.
const SHORTER = {
  tpot_s: "time per output token", ttft_s: "time to the first token", e2e_latency_s: "time of a request",
  tokens_per_s_per_user: "tokens per second of a user", tokens_per_s_per_device: "tokens per second of a device",
  cost_per_mtok_output_usd: "cost of a million output tokens", energy_per_output_token_j: "energy per output token",
  requests_per_s: "requests per second", power_w: "power of a board", mbu: "share of the memory bandwidth in use",
};
const worded = (name) => SHORTER[name] || (COLUMN[name] ? COLUMN[name].meaning : name);
const titled = (name) => ({ unit: ((COLUMN[name] || {}).unit || "").replace("1/s", ""), label: worded(name) });

let drawnPoints = [];
function pareto() {
  const ends = INTERVAL[state.x] || [];
  const all = shown.map((made, place) => ({
    label: made.label, colour: made.colour, dash: made.dash, chosen: place === chosen.place,
    points: curves[place].map(({ batch, point }) => ({
      x: point[state.x], y: point[state.y], low: point[ends[0]], high: point[ends[1]], batch, point, place,
      now: batch === state.batch,
    })).filter(({ x, y }) => x > 0 && y > 0),
  }));
  lines($("#pareto canvas"), Math.max(360, Math.min(480, shown.length * 18 + 60)), all, titled(state.x), titled(state.y));
  drawnPoints = all.flatMap((line) => line.points);
  const size = batches();
  $("#pareto .note").textContent = `Each line is one configuration over batches from ${size[0]} to ${size[size.length - 1]}, as far as they fit; ` +
    `the large points are batch ${state.batch.toLocaleString("en-US")}, with the 80 % interval. Layouts are those of that batch. Press a point for its command.`;
}

// The best configuration at each batch and prompt length.
const LENGTHS = Array.from({ length: 12 }, (_, power) => 2 ** (17 - power)); // from the longest
let mapped = null;
function map() {
  const size = batches(), better = COLUMN[state.best].better === "most" ? -1 : 1;
  const lengths = [...new Set([...LENGTHS, state.input_len])].sort((one, other) => other - one);
  const found = lengths.map((input_len) => size.map((batch) => {
    const there = { ...state, input_len, batch };
    let best = null, value = Infinity;
    for (const made of shown) {
      if (!made.records) continue;
      const own = { ...made };
      layOut(there, own);
      const { point, fault } = pointOf(there, own, batch);
      if (!fault && better * point[state.best] < value) [best, value] = [made, better * point[state.best]];
    }
    return best && { made: best, value: better * value, input_len, batch };
  }));
  const count = (value) => (value >= 1024 && value % 1024 === 0 ? `${value / 1024}Ki` : value.toLocaleString("en-US"));
  const winners = shown.filter((made) => found.some((row) => row.some((cell) => cell && cell.made === made)));
  const alike = new Set(winners.map((made) => made.colour)).size < winners.length; // then colours do not tell
  const colour = (made) => (alike ? colours().series[winners.indexOf(made) % LIGHT.length] : made.colour);
  mapped = { found, ...cells($("#map canvas"), found.map((row) => row.map((cell) => cell && colour(cell.made))),
    size.map(count), lengths.map(count), "batch", "prompt [tokens]", [size.indexOf(state.batch), lengths.indexOf(state.input_len)]) };
  legend($("#map .legend"), winners.map((made) => [colour(made), made.short]));
  $("#map .note").textContent = `${winners.length === 1 ? `${winners[0].short} is best everywhere` : winners.length ? "Each colour is the best of the configurations" : "Nothing runs"}, ` +
    `by ${worded(state.best)}${state.tp.includes(AUTO) ? ", each with the devices that it needs there" : ""}; empty where none runs. Press a cell to move there.`;
}

const TABLE = [
  ["devices", "devices"], ["tpot_s", "time per token"], ["ttft_s", "first token"], ["tokens_per_s_per_user", "tokens/s per user"],
  ["tokens_per_s_per_device", "tokens/s per device"], ["cost_per_mtok_output_usd", "$ per Mtok out"],
  ["energy_per_output_token_j", "J per token"], ["power_w", "power of a board"],
];

function results() {
  const running = shown.filter((made) => !made.fault);
  const best = {};
  for (const [name] of TABLE.slice(1)) {
    const better = (COLUMN[name] || {}).better;
    if (better && running.length > 1) {
      best[name] = (better === "most" ? Math.max : Math.min)(...running.map((made) => made.point[name]));
    }
  }
  const values = (made) => {
    if (made.fault) return [el("td", { class: "text", colspan: String(TABLE.length + 1) }, `does not run: ${made.fault}`)];
    const { point } = made;
    const found = TABLE.map(([name]) => {
      if (name === "devices") return el("td", {}, String(made.devices));
      const ends = INTERVAL[name];
      const text = ends ? ranged(point[name], point[ends[0]], point[ends[1]], "s") : told(point[name], COLUMN[name].unit.replace("1/s", ""));
      return el("td", best[name] === point[name] ? { class: "best" } : {}, text);
    });
    return [...found, el("td", { class: "text" }, data.bounds[point.bound])];
  };
  const held = [...document.querySelectorAll("#results button")].indexOf(document.activeElement);
  $("#results").replaceChildren(
    el("caption", {}, "The chosen configurations"),
    el("thead", {}, el("tr", {}, ...["configuration", ...TABLE.map(([, label]) => label), "limited by"].map((text, place, { length }) =>
      el("th", { scope: "col", ...(place === length - 1 ? { class: "text" } : {}) }, text)))),
    el("tbody", {}, ...shown.map((made, place) => el("tr", { "aria-selected": String(place === chosen.place) },
      el("td", {}, el("button", { type: "button", onclick: () => choose(place, null) }, made.label)), ...values(made))))
  );
  if (held >= 0 && held < shown.length) document.querySelectorAll("#results button")[held].focus();
}

function choose(place, batch) {
  chosen = { place, batch };
  ask();
}

// The chosen point: its command and all its columns.
function point() {
  const made = shown[chosen.place];
  const batch = chosen.batch === null ? state.batch : chosen.batch;
  const found = chosen.batch === null ? made : pointOf(state, made, batch);
  $("#chosen").textContent = `${made.label}, batch ${batch.toLocaleString("en-US")}: ` + (found.fault ? `does not run: ${found.fault}.` :
    `${told(found.point.tpot_s, "s")} per output token, ${told(found.point.ttft_s, "s")} to the first, ` +
    `${told(found.point.tokens_per_s_per_device, "")} tokens/s of a device. This command computes it again:`);
  const command = commandAt(state, made, batch);
  $("#command").textContent = command || (made.records && !made.fault ? "(an entry of the sweep has no name outside of it)" : "");
  $("#copy").hidden = !command;
  const { point: all } = found;
  if (!$("#point details").open) return; // many rows, which nobody sees
  $("#columns").replaceChildren(el("caption", {}, "All columns of this point"), el("tbody", {}, ...(all && !found.fault ? data.columns : []).map(({ name, unit, meaning }) => {
    const value = all[name];
    const text = { status: data.statuses, bound: data.bounds }[name];
    return el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { "data-name": name, "data-value": String(value) }, text ? text[value] : told(value, unit.replace("1/s", ""))),
      el("td", { class: "text" }, meaning));
  })));
}

function csv() {
  const axes = Object.keys(data.axes), factors = Object.keys(FACTORS);
  const lines = [lineOf([...axes, ...factors.map((name) => `${name}_scale`), "what_ifs", ...data.columns.map(({ name }) => name), "command"])];
  shown.forEach((made, place) => curves[place].forEach(({ batch, point: all }) => {
    const values = { ...state, ...made, weight_format: made.format, batch };
    lines.push(lineOf([...axes.map((name) => values[name]), ...factors.map((name) => state[name]), state.sets.join(" "),
      ...data.columns.map(({ name }) => ({ status: data.statuses, bound: data.bounds }[name] || {})[all[name]] ?? all[name]),
      commandAt(state, made, batch)]));
  }));
  return lines;
}

function copy(button, text) {
  const said = (word) => {
    const label = button.textContent;
    button.textContent = word;
    setTimeout(() => { button.textContent = label; }, 1200);
  };
  const field = el("textarea", { readonly: "" });
  const plain = () => { // pages of files may lack the clipboard
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    said(done ? "Copied" : "Not copied");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => said("Copied"), plain);
  else plain();
}

// Controls

function stepsOf(low, high) {
  const found = new Set();
  for (let power = Math.floor(Math.log2(low)); 2 ** power <= high; power++) {
    for (const quarter of [1, 1.25, 1.5, 1.75]) {
      const value = Math.round(2 ** power * quarter);
      if (value >= low && value <= high) found.add(value);
    }
  }
  return [...found].sort((one, other) => one - other);
}

const refresh = []; // of controls, after the state has changed elsewhere

function slider(name, label, steps) {
  const { low, high, whole } = data.axes[name] || { low: 0.01, high: name === "power" ? 1 : 100, whole: false };
  const range = el("input", { type: "range", min: "0", max: String(steps.length - 1), step: "1", "aria-label": label });
  const number = el("input", { type: "number", min: String(low), max: String(high), step: whole ? "1" : "any", "aria-label": label, name });
  const show = () => {
    number.value = state[name];
    range.value = steps.reduce((best, step, place) =>
      (Math.abs(Math.log(step / state[name])) < Math.abs(Math.log(steps[best] / state[name])) ? place : best), 0);
    range.setAttribute("aria-valuetext", number.value);
  };
  range.addEventListener("input", () => {
    change({ [name]: steps[range.value] });
    number.value = state[name];
  });
  number.addEventListener("change", () => {
    const value = admitted(name, number.value);
    if (value !== null) change({ [name]: value });
    show();
  });
  refresh.push(show);
  show();
  return el("div", { class: "slider" }, el("span", { class: "label" }, label), el("div", {}, range, number));
}

function chips(name, label) {
  const list = `list-${name}`;
  const options = name === "tp" ? [AUTO, 1, 2, 4, 8, 16, 32, 64] : Object.keys(data.catalogue[name]);
  const known = el("datalist", { id: list }, ...(name === "weight_format" ? [NATIVE] : []).concat(options).map((value) =>
    el("option", { value: String(value) }, (data.catalogue[name] || {})[value] ? data.catalogue[name][value].title : "")));
  const field = el("input", { list, placeholder: "add…", "aria-label": `Add: ${label}`, name: `add-${name}`, autocomplete: "off" });
  const held = el("div", { class: "chips" });
  const show = () => held.replaceChildren(...state[name].map((value) => el("button", {
    type: "button", title: state[name].length > 1 ? "Remove" : "The last one stays", "aria-label": `Remove ${value}`,
    onclick: () => {
      if (state[name].length > 1) change({ [name]: state[name].filter((other) => other !== value) });
      show();
    },
  }, `${value} ${state[name].length > 1 ? "×" : ""}`)));
  const add = () => {
    const value = admitted(name, field.value.trim());
    if (value === null || field.value.trim() === "") return;
    if (!state[name].includes(value)) change({ [name]: [...state[name], value] });
    field.value = "";
    show();
  };
  field.addEventListener("change", add);
  field.addEventListener("input", (event) => {
    if (event.inputType === "insertReplacementText" || event.inputType === undefined) add(); // picked from the list
  });
  refresh.push(show);
  show();
  const listed = (data.offered[name] || []).map((value) => admitted(name, String(value))).filter((value) => value !== null);
  const offer = el("select", { "aria-label": `${label} of the sweep`, name: `pick-${name}` }, el("option", { value: "" }, `${listed.length} of the sweep…`),
    ...(name === "model" || name === "device" ? [el("option", { value: "all" }, "all of them")] : []),
    ...listed.map((value) => el("option", { value: String(value) }, String(value))));
  offer.addEventListener("change", () => {
    if (offer.value) change({ [name]: offer.value === "all" ? listed : [admitted(name, offer.value)] });
    offer.value = "";
    show();
  });
  return el("div", {}, el("span", { class: "label" }, label), held, ...(listed.length > 1 ? [offer] : []), field, known);
}

// Any field of a record, scaled or set.
function whatIfs() {
  const list = "list-fields";
  const known = el("datalist", { id: list }, ...Object.entries(data.limits).flatMap(([record, fields]) =>
    Object.keys(fields).map((field) => el("option", { value: `${record}.${field}*` }))));
  const field = el("input", { list, placeholder: "device.link_bandwidth*2, economics.pue=1.1", name: "add-sets", autocomplete: "off",
    "aria-label": "Another what-if: a field, * and a factor, or = and a value in SI units" });
  const held = el("div", { class: "chips" });
  const show = () => held.replaceChildren(...state.sets.map((text) => el("button", {
    type: "button", "aria-label": `Remove ${text}`,
    onclick: () => {
      change({ sets: state.sets.filter((other) => other !== text) });
      show();
    },
  }, `${text} ×`)));
  field.addEventListener("change", () => {
    const text = field.value.replaceAll(" ", "");
    field.setCustomValidity(parsedSet(text) || !text ? "" : "write a field, * and a factor, or = and a value");
    field.reportValidity();
    if (!parsedSet(text)) return;
    if (!state.sets.includes(text)) change({ sets: [...state.sets, text] });
    field.value = "";
    show();
  });
  refresh.push(show);
  show();
  return el("div", {}, el("span", { class: "label" }, "Other fields"), held, field, known);
}

function other(name) {
  const axis = data.axes[name], label = name.replaceAll("_", " ");
  const listed = axis.entries ? Object.keys(data.catalogue[name]) : axis.choices;
  const control = listed.length
    ? el("select", { name }, ...listed.map((value) => el("option", { value }, value)))
    : el("input", { type: "number", name, min: String(axis.low), max: String(axis.high), step: axis.whole ? "1" : "any" });
  const show = () => { control.value = state[name]; };
  control.addEventListener("change", () => {
    const value = admitted(name, control.value);
    if (value !== null) change({ [name]: value });
    show();
  });
  refresh.push(show);
  show();
  return el("label", { title: axis.meaning }, label, control);
}

function picker(name, label, options, changed) {
  const control = el("select", { name }, ...options.map(([value, text]) => el("option", { value }, text)));
  const show = () => { control.value = state[name]; };
  control.addEventListener("change", () => changed(control.value));
  refresh.push(show);
  show();
  return el("label", {}, label, control);
}

function build() {
  $("#sliders").append(...Object.entries(NUMBERS).map(([name, [label, low, high]]) => slider(name, label, stepsOf(low, high))));
  $("#choices div").append(...Object.entries(CHOICES).map(([name, label]) => chips(name, label)));
  $("#whatifs div").append(...Object.entries(FACTORS).map(([name, [label, steps]]) => slider(name, `${label} ×`, steps)), whatIfs());
  $("#more div").append(...OTHERS.map(other));
  $("#whatifs").open = state.sets.length > 0 || Object.keys(FACTORS).some((name) => state[name] !== 1);
  if (innerWidth < 736) $("#choices").open = false;
  const named = (names) => names.map((name) => [name, worded(name)]);
  $("#pareto .axes").append(
    picker("x", "across", named(X), (x) => change({ x })), picker("y", "up", named(Y), (y) => change({ y })));
  $("#map .axes").append(picker("best", "best by", named(BEST), (best) => change({ best })));
  $("#csv").addEventListener("click", () => save("perfcore.csv", csv(), "text/csv"));
  $("#copy").addEventListener("click", () => copy($("#copy"), $("#command").textContent));
  $("#link").addEventListener("click", () => {
    history.replaceState(null, "", write(state));
    copy($("#link"), location.href);
  });
  $("#reset").addEventListener("click", () => again(""));
  $("#controls").addEventListener("submit", (event) => event.preventDefault());
  $("#point details").addEventListener("toggle", ask);
    const canvas = $("#pareto canvas");
  hover(canvas, (event) => nearest(drawnPoints, event.offsetX, event.offsetY, 24), ({ place, batch, x, y }) => `${shown[place].label}\nbatch ${batch.toLocaleString("en-US")}\n` +
    `${told(x, COLUMN[state.x].unit)}, ${told(y, COLUMN[state.y].unit)}`);
  canvas.addEventListener("click", (event) => {
    const found = nearest(drawnPoints, event.offsetX, event.offsetY, 24);
    if (found) choose(found.place, found.batch === state.batch ? null : found.batch);
  });
  const cellAt = ({ offsetX, offsetY }) => {
    const row = mapped.found[Math.floor((offsetY - mapped.top) / mapped.each)];
    return (row && row[Math.floor((offsetX - mapped.left) / mapped.wide)]) || null;
  };
  hover($("#map canvas"), cellAt, ({ made, value, input_len, batch }) =>
    `${made.short}\nbatch ${batch.toLocaleString("en-US")}, prompt ${input_len.toLocaleString("en-US")}\n${told(value, COLUMN[state.best].unit)}`);
  $("#map canvas").addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (!cell) return;
    change({ batch: cell.batch, input_len: cell.input_len });
    for (const show of refresh) show();
  });
  for (const id of ["#time", "#memory"]) {
    $(`${id} canvas`).addEventListener("click", (event) => {
      const place = Math.floor(event.offsetY / 40);
      if (place < shown.length) choose(place, null);
    });
  }
}

// What pages without computed points have, too.
function begin() {
  $("#notes").append(...data.notes.map((note) => el("li", {}, note)));
  $("#source").textContent = `perfcore ${data.version} · ${data.date} · computed in this browser by the formulas of perfcore/physics · made again by: ${data.again}`;
  for (const { parentElement: section } of document.querySelectorAll("#explorer section canvas")) {
    const press = () => png(section.id, section.querySelector("h2").textContent, $("#setting").textContent, $("#source").textContent,
      [...section.querySelectorAll(".legend span")].map((pair) => [pair.querySelector("i").style.background, pair.textContent]), [section.querySelector("canvas")]);
    section.append(el("button", { type: "button", class: "png", onclick: press, "aria-label": `Download PNG: ${section.id}` }, "PNG"));
  }
  window.addEventListener("hashchange", () => {
    if (!location.hash || location.hash.includes("=")) again(location.hash); // others lead to sections
  });
  window.addEventListener("resize", ask);
  scheme.addEventListener("change", ask);
}

function again(hash) {
  state = read(hash);
  if (rows) settleRows();
  chosen = { place: 0, batch: null };
  for (const show of refresh) show();
  ask();
}

begin();
if (data.computes) build();
buildRows();
draw();
document.body.dataset.first = performance.now().toFixed(1);
